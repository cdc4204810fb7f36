// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Call } from './call.mjs';
import { random } from './support.mjs';

// Three times what two bad quartzes differ by, so that a short time has much to correct.
test('two and a half minutes of 600 ppm drift, either way, are corrected without an underrun', () => {
  for (const ppm of [600, -600]) {
    const chance = random(9);
    const call = new Call(7_600, { hz: 0, period: 20 * (1 + ppm / 1e6), delay: () => chance() * 3 });
    call.heard = { push() {} };
    call.run(0, 150_000, () => chance() * 2);
    const stats = call.playout.stats();
    assert.deepEqual([stats.concealedSamples, stats.packetsDiscarded], [0, 0], `${ppm} ppm`);
    const corrected = ppm > 0 ? stats.insertedSamplesForDeceleration : stats.removedSamplesForAcceleration;
    assert.ok(corrected > 3_000, `${ppm} ppm: ${corrected} samples`);
    assert.ok(call.rendered.slice(100).every((r) => r.underrun === null && r.buffered < 5_500));
  }
});
