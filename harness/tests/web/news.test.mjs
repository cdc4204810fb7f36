// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { News } from '../../../src/web/news.js';
import { Call } from './call.mjs';

/** Names and causes of the events of a call, by ms after its start; gaps apart. */
function told(call) {
  const events = all(call).filter(([, name]) => name !== 'audio.gap');
  return events.map(([at, name, { cause }]) => [at, cause ?? name]);
}

/** All events of a call, `[ms after its start, name, fields]`. */
function all(call) {
  const news = new News();
  return call.rendered.flatMap((rendered, i) => news.of(rendered, 10 * i).map(([name, fields]) => [10 * i, name, fields]));
}

const gaps = (call) => all(call).filter(([, name]) => name === 'audio.gap').map(([, , { of, ended_utc_ms: ended, ...gap }]) => ({ ...gap, ended }));

test('a healthy call is told once: filling, playing', () => {
  assert.deepEqual(told(new Call(300).run(0, 4_000)).map(([, what]) => what), ['audio.filling', 'audio.playing']);
});

test('a connection that is lost, or that never brought sound, is one warning, whatever the device does meanwhile', () => {
  const call = new Call(100).run(0, 2_000);
  call.playout.endStream();
  call.run(2_000, 6_000).run(6_120, 9_000).run(12_000, 15_000);
  const [filling, playing, ...rest] = told(call);
  assert.deepEqual([filling[1], playing[1]], ['audio.filling', 'audio.playing']);
  assert.deepEqual(rest.map(([, what]) => what), ['nothing_received']);
  assert.deepEqual(told(new Call(0).run(0, 5_000).run(5_120, 8_000)), [[490, 'nothing_received']]);
});

test('sound that comes back is told, and so is the next time that it stays away', () => {
  const call = new Call(100).run(0, 1_900);
  call.playout.endStream();
  const back = new Call(100);
  call.run(1_900, 4_000);
  call.arrivals = back.arrivals.map((a) => ({ ...a, at: a.at + 4_000, timestamp: (a.timestamp + 4_000 * 48) % 2 ** 32 }));
  call.run(4_000, 8_000);
  const after = told(call).filter(([at]) => at > 1_900).map(([, what]) => what);
  assert.deepEqual(after.filter((what) => what !== 'late_data'), ['nothing_received', 'audio.filling', 'audio.playing', 'nothing_received']);
});

test('a gap is told when it is over: how much is missing, over which time, and when it ended', () => {
  const call = new Call(300, { delay: (n) => (n >= 100 && n < 103 ? null : 0) }).run(0, 5_000);
  const [gap, ...more] = gaps(call);
  assert.deepEqual(more, []);
  const { concealedSamples } = call.playout.stats();
  assert.deepEqual([gap.cause, gap.samples], ['late_data', concealedSamples]);
  assert.ok(gap.ended > 2_000 && gap.ended < 2_200, `${gap.ended}`);
  assert.ok(gap.lasted_us >= 60_000 && gap.lasted_us <= 90_000, `${gap.lasted_us}`);
  assert.deepEqual(gaps(new Call(300).run(0, 4_000)), []);
});

test('what a device lost is looked for in all the time in which it may have lost it', () => {
  const [stopped] = gaps(new Call(600).run(0, 4_000).run(4_120, 9_000));
  assert.equal(stopped.cause, 'late_callback');
  assert.ok(stopped.lasted_us >= 2_000_000, `${stopped.lasted_us}`);
  const [slept] = gaps(new Call(600).run(0, 4_000).run(7_000, 9_000));
  assert.equal(slept.cause, 'late_callback');
  assert.ok(slept.lasted_us >= 3_000_000 && slept.lasted_us < 3_100_000, `${slept.lasted_us}`);
});
