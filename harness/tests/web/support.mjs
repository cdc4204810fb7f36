// What several tests need: even random numbers, tones, levels.

/** An even random number in 0..1 at each call (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Samples of a tone, from sample `from` on. */
export function tone(hz, amplitude, count, { rate = 48_000, from = 0 } = {}) {
  return Float32Array.from({ length: count }, (_, i) => amplitude * Math.sin((2 * Math.PI * hz * (from + i)) / rate));
}

/** Even noise of an RMS in dBFS. */
export function noise(chance, db, count) {
  const amplitude = Math.sqrt(3) * 10 ** (db / 20);
  return Float32Array.from({ length: count }, () => amplitude * (2 * chance() - 1));
}

/** Level of one frequency in dBFS under a Blackman-Harris window; a full-scale sine is 0. */
export function toneDb(samples, hz, rate = 48_000) {
  let [re, im, weight] = [0, 0, 0];
  samples.forEach((sample, i) => {
    const turn = (2 * Math.PI * (i + 0.5)) / samples.length;
    const window = 0.35875 - 0.48829 * Math.cos(turn) + 0.14128 * Math.cos(2 * turn) - 0.01168 * Math.cos(3 * turn);
    const angle = (2 * Math.PI * hz * i) / rate;
    re += sample * window * Math.cos(angle);
    im += sample * window * Math.sin(angle);
    weight += window;
  });
  return 20 * Math.log10((2 * Math.hypot(re, im)) / weight);
}
