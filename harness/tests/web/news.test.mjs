// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { News } from '../../../src/web/news.js';
import { Call } from './call.mjs';

/** Names and causes of the events of a call, by ms after its start. */
function told(call) {
  const news = new News();
  return call.rendered.flatMap((rendered, i) => news.of(rendered).map(([name, { cause }]) => [10 * i, cause ?? name]));
}

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
