// The first packets of a call, while everything is starting. Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Call } from './call.mjs';

/** Mean delay in the buffer over the last callbacks, ms. */
const buffered = (call) => call.rendered.slice(-100).reduce((sum, r) => sum + r.buffered / 48, 0) / 100;

function check(call, from, what) {
  const at = call.rendered.findIndex((r) => r.started);
  const { target } = call.rendered[at];
  assert.ok(target <= 1_920, `${what}: target ${target} at the start`);
  assert.ok(call.rendered.slice(at).every((r) => r.target <= 1_920), `${what}: never more`);
  assert.equal(call.playout.stats().concealedSamples, 0, what);
  assert.ok(buffered(call) < 75, `${what}: ${buffered(call)} ms wait`);
  assert.ok(10 * at - from <= 60, `${what}: begins ${10 * at - from} ms after the burst`);
}

test('a burst before anything was played is no jitter of the network', () => {
  for (const held of [60, 200, 600]) {
    const call = new Call(400, { delay: (n) => Math.max(0, held - 20 * n) }).run(0, 7_900);
    check(call, held, `all held up for ${held} ms`);
  }
});

test('nor is one behind a packet that came in time while the audio thread stood still', () => {
  const call = new Call(400, { delay: (n) => (n === 0 ? 0 : Math.max(0, 200 - 20 * n)) }).run(210, 7_900);
  assert.ok(call.rendered.every((r) => r.target <= 1_920), `${Math.max(...call.rendered.map((r) => r.target))}`);
  assert.equal(call.playout.stats().concealedSamples, 0);
  assert.ok(buffered(call) < 75, `${buffered(call)}`);
});

test('a burst that trickles in over the start hardly counts', () => {
  const call = new Call(400, { delay: (n) => Math.max(0, 300 - 14 * n) }).run(0, 7_900);
  const most = Math.max(...call.rendered.map((r) => r.target));
  assert.ok(most <= 60 * 48, `target ${most}`);
});

test('nor does a suspended context, whatever waits in front of it', () => {
  const call = new Call(1_000);
  for (; call.arrivals[0].at < 14_000;) {
    const { at, samples, ...packet } = call.arrivals.shift();
    call.playout.push({ ...packet, samples: samples() }, at);
  }
  call.run(13_000, 19_000);
  assert.ok(call.rendered.every((r) => r.target <= 1_920));
  assert.ok(buffered(call) < 75, `${buffered(call)}`);
});

test('a reconnect begins like a call', () => {
  const call = new Call(100).run(0, 2_000);
  call.playout.endStream();
  const back = new Call(300, { delay: (n) => Math.max(0, 300 - 20 * n) });
  call.arrivals = back.arrivals.map((a, n) => ({ ...a, at: a.at + 3_000, timestamp: 12_345 + 960 * n, sequence: n }));
  call.run(2_000, 8_900);
  assert.ok(call.rendered.slice(310).every((r) => r.target <= 1_920));
});

test('what is late after the start counts at once', () => {
  const call = new Call(400, { delay: (n) => (n === 6 ? 120 : 0) }).run(0, 1_000);
  assert.ok(call.rendered.at(-1).target >= 120 * 48, `${call.rendered.at(-1).target}`);
});
