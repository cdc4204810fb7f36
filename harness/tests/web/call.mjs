// A sender and a speaker on one virtual clock, for tests of the playout.

import { Playout } from '../../../src/web/playout.js';
import { tone } from './support.mjs';

const FRAME = 960;

/** A sender of a 440 Hz tone and a speaker that takes 10 ms, on one virtual clock in ms. */
export class Call {
  playout = new Playout();
  heard = [];
  rendered = [];
  arrivals = [];

  /** Packet n is sent at 1,000 + n * period ms and arrives `delay(n)` later (or never, if null); `speaks(n)` or a keep-alive. */
  constructor(frames, { period = 20, delay = () => 0, speaks = () => true, hz = 440 } = {}) {
    let [sequence, silent] = [65_500, 0];
    const timestamp = 2 ** 32 - 20_000;
    for (let n = 0; n < frames; n += 1) {
      silent = speaks(n) ? 0 : silent + 1;
      if (silent % 20 > 1) continue;
      const late = delay(n);
      const samples = silent ? null : () => (hz === 0 ? new Float32Array(FRAME) : tone(hz, 0.3, FRAME, { from: n * FRAME }));
      if (late !== null) this.arrivals.push({ at: 1_000 + n * period + late, sequence, timestamp: (timestamp + n * FRAME) % 2 ** 32, samples });
      sequence = (sequence + 1) & 0xffff;
    }
    // TCP: what comes late holds up what is behind it.
    for (let i = 1; i < this.arrivals.length; i += 1) this.arrivals[i].at = Math.max(this.arrivals[i].at, this.arrivals[i - 1].at);
  }

  callback(at) {
    while (this.arrivals[0]?.at <= at) {
      const { at: arrival, samples, ...packet } = this.arrivals.shift();
      this.playout.push({ ...packet, samples: samples?.() ?? null }, arrival);
    }
    const out = new Float32Array(480).fill(9);
    const rendered = this.playout.render(out, at);
    this.heard.push(...out);
    this.rendered.push(rendered);
    return rendered;
  }

  /** Callbacks every 10 ms between two times after the start, each `uneven` off. */
  run(from, to, uneven = () => 0) {
    for (let ms = from; ms < to; ms += 10) this.callback(1_000 + ms + uneven());
    return this;
  }

  get causes() {
    return [...new Set(this.rendered.map((r) => r.underrun).filter(Boolean))];
  }

  largestStep() {
    let most = 0;
    for (let i = 1; i < this.heard.length; i += 1) most = Math.max(most, Math.abs(this.heard[i] - this.heard[i - 1]));
    return most;
  }
}
