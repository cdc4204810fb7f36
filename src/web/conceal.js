// Sound made up for sound that is missing: the last pitch periods again. PURE.

import { rms } from './level.js';

/** Samples of sound that concealment looks back on (50 ms). */
const HISTORY = 2_400;
/** The repeated piece is a multiple of the pitch period between these, 10 to 25 ms: short ones buzz. */
const [SHORTEST_LAG, LONGEST_LAG] = [480, 1_200];
/** The pitch is looked for in the last so many samples (20 ms). */
const MATCH = 960;
/** Samples that blend the end of the repeated piece into its beginning, made-up into real sound, and real into made-up (5 ms). */
const BLEND = 240;
/** Made-up sound is as loud as before for so long (10 ms), and gone after 80 ms. */
const [FULL, GONE] = [480, 3_840];

/** Makes sound up by repeating the last pitch periods (the idea of ITU-T G.711 Appendix I). */
export class Concealer {
  #history = new Float32Array(HISTORY);
  #piece = null;
  #made = 0;
  #step = 0;
  #quiet = true;

  /** Whether the last samples were made up. */
  get active() {
    return this.#piece !== null;
  }

  /** Takes real sound as it is played; right after made-up sound its beginning is blended with it, in place. */
  hear(samples) {
    if (this.#piece) {
      const count = Math.min(BLEND, samples.length);
      const { samples: tail } = this.conceal(count);
      for (let i = 0; i < count; i += 1) samples[i] = tail[i] + ((samples[i] - tail[i]) * (i + 1)) / (count + 1);
      this.#piece = null;
    }
    this.#remember(samples);
  }

  /** The next `count` made-up samples, and how many of them are silence because nothing more can be made of the past. */
  conceal(count) {
    if (!this.#piece) this.#begin();
    const samples = new Float32Array(count);
    let silent = 0;
    for (let i = 0; i < count; i += 1, this.#made += 1) {
      const gain = Math.min(1, Math.max(0, (GONE - this.#made) / (GONE - FULL)));
      // What does not match at the seam fades away instead of clicking.
      const seam = this.#made < BLEND ? this.#step * (1 - (this.#made + 1) / BLEND) : 0;
      samples[i] = gain * (this.#piece[this.#made % this.#piece.length] + seam);
      silent += gain === 0 || this.#quiet ? 1 : 0;
    }
    return { samples, silent };
  }

  /** Silence was played. */
  forget() {
    this.#piece = null;
    this.#history.fill(0);
  }

  #begin() {
    const past = this.#history;
    const lag = pitchLag(past);
    const piece = past.slice(HISTORY - lag);
    for (let i = 0; i < BLEND; i += 1) {
      const at = lag - BLEND + i;
      const before = past[HISTORY - lag - BLEND + i];
      piece[at] += ((before - piece[at]) * (i + 1)) / BLEND;
    }
    this.#step = past[HISTORY - 1] - past[HISTORY - lag - 1];
    this.#piece = piece;
    this.#made = 0;
    this.#quiet = rms(piece) < 1e-5;
  }

  #remember(samples) {
    const fresh = samples.subarray(Math.max(0, samples.length - HISTORY));
    this.#history.copyWithin(0, fresh.length);
    this.#history.set(fresh, HISTORY - fresh.length);
  }
}

/** The lag at which the past matches itself best, by normalised cross-correlation: coarsely at 12 kHz, then exactly. */
function pitchLag(past) {
  const match = (data, lag, window) => {
    let [cross, energy] = [0, 1e-9];
    for (let i = data.length - window; i < data.length; i += 1) {
      cross += data[i] * data[i - lag];
      energy += data[i - lag] * data[i - lag];
    }
    return cross / Math.sqrt(energy);
  };
  const best = (data, from, to, window) => {
    let [at, most] = [from, -Infinity];
    for (let lag = from; lag <= to; lag += 1) {
      const value = match(data, lag, window);
      if (value > most) [at, most] = [lag, value];
    }
    return at;
  };
  const coarse = Float32Array.from({ length: past.length / 4 }, (_, i) => past[4 * i] + past[4 * i + 1] + past[4 * i + 2] + past[4 * i + 3]);
  const near = 4 * best(coarse, SHORTEST_LAG / 4, LONGEST_LAG / 4, MATCH / 4);
  return best(past, Math.max(SHORTEST_LAG, near - 4), Math.min(LONGEST_LAG, near + 4), MATCH);
}
