// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Concealer } from '../../../src/web/conceal.js';
import { CallbackClock } from '../../../src/web/drift.js';
import { JitterBuffer } from '../../../src/web/jitter.js';
import { Playout } from '../../../src/web/playout.js';
import { Call } from './call.mjs';
import { random, tone, toneDb } from './support.mjs';

const FRAME = 960;

/** The largest step of a 440 Hz tone of amplitude 0.3 from one sample to the next. */
const STEP = 0.3 * 2 * Math.sin((Math.PI * 440) / 48_000);

test('a healthy call conceals nothing from the first frame on, and starts after about 40 ms', () => {
  for (let seed = 0; seed < 10; seed += 1) {
    const [network, device] = [random(seed), random(seed + 100)];
    const call = new Call(600, { delay: () => network() * 10 }).run(0, 11_500, () => device() * 4);
    const stats = call.playout.stats();
    for (const zero of ['concealedSamples', 'concealmentEvents', 'packetsDiscarded', 'packetsLost', 'insertedSamplesForDeceleration',
      'removedSamplesForAcceleration', 'silentConcealedSamples']) assert.equal(stats[zero], 0, `seed ${seed}: ${zero}`);
    const start = call.rendered.findIndex((r) => r.started);
    assert.ok(start >= 3 && start <= 7, `callback ${start}`);
    assert.ok(call.rendered.slice(start + 1).every((r) => r.underrun === null && r.got === 480 && r.target === 1_920), `seed ${seed}`);
    assert.ok(call.largestStep() < 1.1 * STEP, `${call.largestStep()}`);
    const delay = stats.jitterBufferDelay / stats.jitterBufferEmittedCount;
    assert.ok(delay > 0.03 && delay < 0.065, `${delay}`);
  }
});

test('bursts of a device with a large buffer are no fault', () => {
  const call = new Call(1_500);
  for (let ms = 0; ms < 20_000; ms += 40) for (let n = 0; n < 4; n += 1) call.callback(1_000 + ms + n / 100);
  const stats = call.playout.stats();
  assert.deepEqual([stats.concealedSamples, stats.lateCallbacks], [0, 0]);
  assert.deepEqual(call.causes, ['filling']);
});

test('a hole of 60 ms is made up without a click, once, and counted', () => {
  for (const hz of [440, 97, 1_234]) {
    const call = new Call(300, { hz, delay: (n) => (n >= 100 && n < 103 ? null : 0) }).run(0, 5_000);
    const stats = call.playout.stats();
    assert.deepEqual([stats.concealedSamples, stats.concealmentEvents, stats.packetsLost], [2_880, 1, 3]);
    assert.equal(stats.underruns.lateData.count > 0, true);
    const largest = 0.3 * 2 * Math.sin((Math.PI * hz) / 48_000);
    assert.ok(call.largestStep() < 1.25 * largest + 0.005, `${hz} Hz: ${call.largestStep()} against ${largest}`);
  }
});

test('made-up sound is the tone at first and silence after 80 ms; silent samples are counted', () => {
  const concealer = new Concealer();
  concealer.hear(tone(440, 0.3, 4_800));
  const { samples, silent } = concealer.conceal(9_600);
  assert.ok(Math.abs(toneDb(samples.subarray(0, 960), 440) - 20 * Math.log10(0.3)) < 1.5);
  assert.ok(samples.subarray(3_840).every((s) => s === 0));
  assert.ok(silent >= 9_600 - 3_841 && silent <= 9_600 - 3_839, `${silent}`);
  const noise = random(5);
  const rough = new Concealer();
  rough.hear(Float32Array.from({ length: 4_800 }, () => noise() - 0.5));
  assert.ok(rough.conceal(960).samples.every((s) => Math.abs(s) < 1.1));
});

test('late data is made up, playback goes on later, the target grows and comes back', () => {
  const call = new Call(3_000, { delay: (n) => (n >= 200 && n < 400 && n % 5 === 0 ? 120 : 0) });
  call.run(0, 7_900);
  const grown = call.rendered.at(-1).target / 48;
  assert.ok(grown > 120 && grown < 160, `${grown} ms`);
  const events = call.playout.stats().concealmentEvents;
  assert.ok(events >= 1 && events < 10, `${events} events`);
  assert.ok(call.causes.includes('late_data'));
  call.run(7_900, 55_000);
  assert.equal(call.rendered.at(-1).target, 1_920);
  const stats = call.playout.stats();
  assert.equal(stats.concealmentEvents, events, 'nothing more is made up');
  assert.ok(stats.removedSamplesForAcceleration > 2_000, 'the delay is played away');
  assert.ok(call.rendered.at(-1).buffered < 3_900, `${call.rendered.at(-1).buffered}`);
});

test('the target is bounded at 400 ms', () => {
  const call = new Call(700, { delay: (n) => (n % 100 === 0 ? 900 : 0) }).run(0, 13_900);
  assert.equal(call.rendered.at(-1).target, 19_200);
  assert.ok(call.rendered.every((r) => r.buffered <= 64 * 960 + 2_000));
});

test('silence of a silent sender is no loss, and every talk spurt begins softly', () => {
  const call = new Call(1_000, { speaks: (n) => n % 100 < 50 }).run(0, 19_000);
  const stats = call.playout.stats();
  assert.deepEqual([stats.concealedSamples, stats.packetsDiscarded, stats.packetsLost], [0, 0, 0]);
  assert.deepEqual(call.causes, ['filling']);
  assert.ok(call.largestStep() < 1.1 * STEP, `${call.largestStep()}`);
  assert.ok(Math.abs(stats.totalSamplesReceived - 19_000 * 48) < 4_800, 'silence counts as received');
  assert.equal(call.rendered.filter((r) => r.started).length, 1);
});

test('a sender that stops is nothing received after 500 ms, and taken at once when it comes back', () => {
  const call = new Call(600, { delay: (n) => (n >= 100 && n < 300 ? null : 0) }).run(0, 11_000);
  const at = (ms) => call.rendered[ms / 10];
  assert.equal(at(2_300).underrun, 'late_data');
  assert.equal(at(2_700).underrun, 'nothing_received');
  assert.equal(at(6_100).underrun, null);
  assert.equal(call.rendered.filter((r) => r.started).length, 2);
  const { silentConcealedSamples, concealedSamples } = call.playout.stats();
  assert.ok(silentConcealedSamples > 0 && silentConcealedSamples < concealedSamples);
});

test('a restarted sender (a reconnect) is taken at once', () => {
  for (const timestamp of [0, 2 ** 31, 77_777_777]) {
    const fresh = new Call(100);
    fresh.arrivals.forEach((a, n) => Object.assign(a, { at: a.at + 2_000, timestamp: timestamp + n * FRAME, sequence: n }));
    const call = new Call(100).run(0, 1_900);
    call.arrivals = fresh.arrivals;
    call.run(1_900, 3_900);
    assert.ok(call.rendered.slice(-80).every((r) => r.underrun === null && r.got === 480), `${timestamp}`);
    assert.equal(call.playout.stats().packetsLost, 0);
  }
});

test('a device that stops for 100 ms was late, for good; one that catches up lost nothing', () => {
  const late = new Call(600).run(0, 3_000);
  late.run(3_100, 6_000);
  assert.equal(late.rendered.filter((r) => r.underrun === 'late_callback').length, 1);
  const missing = late.rendered.find((r) => r.underrun === 'late_callback');
  assert.ok(Math.abs(missing.expected - 480 - 4_800) < 250, `${missing.expected}`);
  const catching = new Call(600).run(0, 3_000);
  for (let n = 0; n < 11; n += 1) catching.callback(4_100 + n / 10);
  catching.run(3_110, 6_000);
  assert.equal(catching.rendered.filter((r) => r.underrun === 'late_callback').length, 0);
});

test('a suspended context goes on at the live point', () => {
  const call = new Call(900).run(0, 3_000);
  call.run(10_000, 15_000);
  assert.ok(call.rendered.slice(-400).every((r) => r.underrun === null && r.buffered < 4_000));
  assert.ok(call.playout.stats().callbacksTookMs < 8_100, 'the time asleep does not count');
});

test('a reordered packet plays in its place, a duplicate once, a late one is discarded', () => {
  const buffer = new JitterBuffer();
  const push = (n, at) => buffer.push({ sequence: n, timestamp: n * FRAME, samples: new Float32Array(FRAME).fill(n) }, at);
  for (let n = 0; n < 5; n += 1) push(n, 1_000 + 20 * n);
  for (const [n, at] of [[6, 1_121], [5, 1_122], [5, 1_123], [7, 1_141]]) push(n, at);
  const got = [];
  for (let n = 0; n < 8; n += 1) got.push(buffer.pull(1_045 + 20 * n).samples?.[0]);
  assert.deepEqual(got, [0, 1, 2, 3, 4, 5, 6, 7]);
  push(3, 1_210);
  assert.deepEqual([buffer.packetsDiscarded, buffer.packetsLost], [2, 0]);
});

test('any arrivals keep bounds', () => {
  for (let seed = 0; seed < 30; seed += 1) {
    const [chance, playout] = [random(seed), new Playout()];
    let now = 1_000;
    for (let i = 0; i < 400; i += 1) {
      now += chance() * 40;
      const wild = chance() < 0.01 ? chance() * 2 ** 32 : 0;
      const n = Math.max(0, i - Math.floor(chance() * 6));
      const samples = chance() < 0.1 ? null : new Float32Array(FRAME).fill(0.1);
      playout.push({ sequence: n & 0xffff, timestamp: Math.floor(wild + n * FRAME) % 2 ** 32, samples }, now);
      const out = new Float32Array(480).fill(9);
      const { got, expected, target, buffered } = playout.render(out, now + chance() * 3);
      assert.ok(out.every((s) => Math.abs(s) <= 1));
      assert.ok(got >= 0 && got <= expected && target >= 1_920 && target <= 19_200 && buffered <= 65 * FRAME + 2_000);
    }
    const stats = playout.stats();
    assert.equal(stats.packetsReceived, 400);
    assert.ok(Object.entries(stats).every(([, v]) => typeof v === 'object' || (Number.isFinite(v) && v >= 0)), JSON.stringify(stats));
  }
});

test('the even time of a device', () => {
  const clock = new CallbackClock();
  clock.observe(0, 1_000);
  for (let ms = 10; ms < 1_500; ms += 10) clock.observe(ms, 1_000 + ms + (ms % 30));
  const { time, gone, slept } = clock.observe(1_500, 2_520);
  assert.deepEqual([time, gone, slept], [2_500, 0, 0]);
});
