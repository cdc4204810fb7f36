// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VoiceActivity, level } from '../../../src/web/level.js';
import { noise, random, tone } from './support.mjs';

const filled = (value) => new Float32Array(960).fill(value);

test('the scale is minus dBov', () => {
  for (const [samples, expected] of [
    [filled(0), 127], [new Float32Array(0), 127], [filled(NaN), 127], [filled(1), 0], [filled(4), 0], [filled(0.01), 40], [filled(1e-7), 127],
    [tone(1000, 1, 960), 3],
  ]) assert.equal(level(samples), expected);
});

test('a steady tone is active for ever', () => {
  for (const amplitude of [0.5, 0.01]) {
    const vad = new VoiceActivity();
    for (let n = 0; n < 50 * 60; n += 1) assert.ok(vad.isActive(tone(440, amplitude, 960, { from: n * 960 })), `${amplitude}, frame ${n}`);
  }
});

test('silence and low noise are inactive', () => {
  const [vad, chance] = [new VoiceActivity(), random(7)];
  for (let n = 0; n < 500; n += 1) {
    assert.ok(!vad.isActive(filled(0)));
    assert.ok(!vad.isActive(noise(chance, -75, 960)));
  }
});

test('steady room noise is learned and quiet speech still heard', () => {
  const [vad, chance] = [new VoiceActivity(), random(7)];
  for (let n = 0; n < 50 * 20; n += 1) vad.isActive(noise(chance, -58, 960));
  assert.ok(!vad.isActive(noise(chance, -58, 960)), 'learned');
  for (let n = 0; n < 50 * 60; n += 1) assert.ok(vad.isActive(noise(chance, -45, 960)), 'speech at -45 dBFS over noise at -58 dBFS');
});

test('an onset is active in its own frame and the end hangs over', () => {
  const vad = new VoiceActivity();
  for (let n = 0; n < 100; n += 1) vad.isActive(filled(0));
  const onset = filled(0);
  onset.set(noise(random(7), -40, 100), 860);
  assert.ok(vad.isActive(onset));
  let after = 0;
  while (vad.isActive(filled(0))) after += 1;
  assert.equal(after, 10);
});
