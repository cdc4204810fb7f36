// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Resampler } from '../../../src/web/resample.js';
import { random, tone, toneDb } from './support.mjs';

const RATES = [[44_100, 48_000], [16_000, 48_000], [48_000, 44_100], [8_000, 48_000], [96_000, 48_000], [48_000, 48_000]];

function convert(resampler, input, speed = 1, block = 128) {
  const out = [];
  for (let at = 0; at < input.length; at += block) {
    resampler.push(input.subarray(at, at + block));
    const piece = new Float32Array(resampler.available(speed));
    assert.equal(resampler.read(piece, speed), piece.length, 'what is available can be read');
    out.push(...piece);
  }
  return Float32Array.from(out);
}

test('tones keep level and frequency within 0.1 dB, and leave nothing elsewhere', () => {
  for (const [from, to] of RATES) {
    const nyquist = Math.min(from, to) / 2;
    for (const hz of [440, 1_000, 0.8 * nyquist]) {
      const out = convert(new Resampler(from, to), tone(hz, 0.5, from, { rate: from })).subarray(2_000, 2_000 + to / 2);
      const db = toneDb(out, hz, to);
      assert.ok(Math.abs(db - 20 * Math.log10(0.5)) < 0.1, `${from} to ${to}, ${hz} Hz: ${db} dB`);
      const own = tone(0, 0, out.length); // what is left without the tone
      let [re, im] = [0, 0];
      out.forEach((s, i) => {
        re += s * Math.cos((2 * Math.PI * hz * i) / to);
        im += s * Math.sin((2 * Math.PI * hz * i) / to);
      });
      out.forEach((s, i) => {
        own[i] = s - (2 / out.length) * (re * Math.cos((2 * Math.PI * hz * i) / to) + im * Math.sin((2 * Math.PI * hz * i) / to));
      });
      const rest = 10 * Math.log10(own.reduce((sum, s) => sum + s * s, 1e-20) / out.length);
      assert.ok(rest < -70, `${from} to ${to}, ${hz} Hz: rest ${rest} dB`);
    }
  }
});

test('what the lower rate cannot hold is gone, not folded', () => {
  for (const [from, to, hz] of [[48_000, 44_100, 23_500], [48_000, 16_000, 10_000], [96_000, 48_000, 30_000], [48_000, 8_000, 5_000]]) {
    const out = convert(new Resampler(from, to), tone(hz, 1, from, { rate: from })).subarray(2_000);
    const db = 10 * Math.log10(out.reduce((sum, s) => sum + s * s, 1e-20) / out.length);
    assert.ok(db < -70, `${from} to ${to}: ${db} dB`);
  }
});

test('the count of samples is exact over time', () => {
  for (const [from, to] of RATES) {
    const resampler = new Resampler(from, to);
    let count = 0;
    const block = new Float32Array(128);
    const seconds = 5;
    for (let pushed = 0; pushed < seconds * from; pushed += 128) {
      resampler.push(block.subarray(0, Math.min(128, seconds * from - pushed)));
      count += resampler.read(new Float32Array(resampler.available()));
    }
    const expected = Math.ceil(((seconds * from - resampler.delay) * to) / from - 1e-6);
    assert.equal(count, expected, `${from} to ${to}`);
  }
});

test('blocks of any size give what one block gives', () => {
  const chance = random(3);
  const input = Float32Array.from({ length: 20_000 }, () => chance() - 0.5);
  for (const [from, to] of RATES) {
    for (const speed of [1, 0.98, 1.02]) {
      const whole = convert(new Resampler(from, to), input, speed, input.length);
      for (const block of [1, 100, 997]) assert.deepEqual(convert(new Resampler(from, to), input, speed, block), whole, `${from} to ${to}`);
    }
  }
});

test('equal rates pass bit for bit, and again in quality after a correction', () => {
  const input = tone(440, 0.3, 4_000);
  const resampler = new Resampler(48_000, 48_000);
  assert.deepEqual(convert(resampler, input), input.subarray(0, 4_000 - resampler.delay));
  for (const speed of [0.98, 1.02, 1.005]) {
    const out = convert(new Resampler(48_000, 48_000), tone(440, 0.3, 48_000), speed).subarray(1_000, 25_000);
    assert.ok(Math.abs(toneDb(out, 440 * speed) - 20 * Math.log10(0.3)) < 0.1);
  }
});

test('what is needed is enough and no more', () => {
  for (const [from, to] of RATES) {
    for (const speed of [1, 0.995, 1.005]) {
      const resampler = new Resampler(from, to);
      for (let n = 0; n < 500; n += 1) {
        const needed = resampler.needed(128, speed);
        if (needed > 0) {
          resampler.push(new Float32Array(needed - 1));
          assert.ok(resampler.available(speed) < 128, 'one less is too little');
          resampler.push(new Float32Array(1));
        }
        assert.equal(resampler.read(new Float32Array(128), speed), 128, `${from} to ${to} at ${speed}, block ${n}`);
      }
    }
  }
});
