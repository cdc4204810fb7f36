// The reader's clock against the sender's: at which speed to read, and when a device went without sound. PURE.

/** The most that the reading speed differs from 1: a tenth of a semitone. */
const MAX_CORRECTION = 0.005;
/** How much longer (30 ms) or shorter (10 ms) than the target the buffer may be without correction, samples. */
const [TOO_LONG, TOO_SHORT] = [1_440, -480];
/** A correction ends this close to the target, samples (2 ms). */
const CLOSE = 96;
/** For how long the buffer must be off before a correction begins, samples (1 s). */
const PATIENCE = 48_000;

/** Decides at which speed to read. */
export class Drift {
  #off = null;
  #offFor = 0;
  #correcting = false;

  speed(now, samples) {
    if (now === null) {
      [this.#off, this.#offFor, this.#correcting] = [null, 0, false];
      return 1;
    }
    const before = this.#off ?? now;
    // Half a second evens out callbacks and arrivals.
    const off = before + (now - before) * Math.min(samples / 24_000, 1);
    this.#off = off;
    this.#offFor = off >= TOO_SHORT && off <= TOO_LONG ? 0 : this.#offFor + samples;
    this.#correcting = this.#correcting ? Math.abs(off) > CLOSE : this.#offFor > PATIENCE;
    if (!this.#correcting) return 1;
    // A tenth of the distance a second: what must go fast goes fast, the rest is not heard.
    const correction = Math.min(Math.max(Math.abs(off) / 480_000, 0.001), MAX_CORRECTION);
    return 1 + Math.sign(off) * correction;
  }
}

/** Device time that must be gone before a callback was late, ms. */
const LATE = 5;
/** For how long a device that asked early may lack sound by its own fault, ms. */
const HURRY = 100;
/** A reader that did not ask for so long slept (a suspended context), ms. */
const SLEPT = 500;

/**
 * The reader's clock. A device asks in bursts, so single callbacks say little; its own sample count runs evenly. The even time is that
 * count, put where its earliest callbacks are. If these come later and stay so, the device went without sound.
 */
export class CallbackClock {
  #base = null;
  #bucket = { from: 0, least: Infinity };
  #previous = Infinity;
  #last = null;
  #hurried = -Infinity;

  /**
   * `played` and `now` in ms: sound asked for so far, and time. Gives the even `time`, `gone` and `slept` (ms that the device went
   * without), and `hurrying`: it lately asked much earlier than it ever did in the last second.
   */
  observe(played, now) {
    const offset = now - played;
    const slept = this.#last !== null && now - this.#last > SLEPT ? now - this.#last : 0;
    this.#last = now;
    if (this.#base === null || slept > 0) {
      this.#base = offset;
      this.#previous = Infinity;
      this.#bucket = { from: now, least: offset };
      return { time: now, gone: 0, slept, hurrying: false };
    }
    if (offset < this.#base - LATE) this.#hurried = now;
    let gone = 0;
    if (now - this.#bucket.from >= 1_000) {
      const later = this.#bucket.least - this.#previous;
      gone = later > LATE ? later : 0;
      this.#previous = this.#bucket.least;
      this.#base = this.#bucket.least;
      this.#bucket = { from: now, least: Infinity };
    }
    this.#bucket.least = Math.min(this.#bucket.least, offset);
    this.#base = Math.min(this.#base, offset);
    return { time: played + this.#base, gone, slept: 0, hurrying: now - this.#hurried < HURRY };
  }
}
