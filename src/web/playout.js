// One received stream of decoded sound on its way to a speaker: jitter buffer, concealment, clock drift and the counters of
// webrtc-stats, as src/audio/{jitter,voice,playout}.rs do it. PURE: `now` is an argument, in milliseconds.

import { Concealer } from './conceal.js';
import { CallbackClock, Drift } from './drift.js';
import { JitterBuffer } from './jitter.js';
import { rms } from './level.js';
import { Resampler } from './resample.js';

/** 48 kHz ticks of a millisecond. */
const MS = 48;
/** Samples over which sound begins (2.5 ms), after as many that still belong to what the sender encoded before its pause. */
const FADE_IN = 120;
/** Samples of made-up sound that fade away after the last packet of a talk spurt (5 ms). */
const TAIL = 240;

/** A device that asks later and stays so is noticed by two seconds of callbacks, ms. */
const NOTICED_AFTER = 2_000;

const CAUSES = { filling: 'filling', nothing_received: 'nothingReceived', late_data: 'lateData', late_callback: 'lateCallback' };

/** A received stream on its way to a speaker that takes 48 kHz samples. */
export class Playout {
  #buffer = new JitterBuffer();
  #queue = new Resampler(48_000, 48_000);
  /** What the queue holds, in order: `kind` (real, silent, madeUp, filling, idle) and `left` samples. */
  #runs = [];
  #concealer = new Concealer();
  #drift = new Drift();
  #clock = new CallbackClock();
  #sounding = false;
  #makingUp = false;
  #counts = {
    total: 0, concealed: 0, silentConcealed: 0, events: 0, inserted: 0, removed: 0, energy: 0, level: 0, callbacks: 0, late: 0,
    rendered: 0, took: 0,
  };
  #played = 0;
  #began = null;
  #underruns = {};

  constructor() {
    for (const cause of Object.values(CAUSES)) this.#underruns[cause] = { count: 0, samplesGot: 0, samplesExpected: 0 };
  }

  /** Takes a decoded packet as it arrives, see [`JitterBuffer.push`]. */
  push(packet, now) {
    this.#buffer.push(packet, now);
  }

  /** See [`JitterBuffer.end`]. */
  endStream() {
    this.#buffer.end();
  }

  /**
   * Fills all of `out`. Returns `got` and `expected` samples, `underrun` (null, or filling, nothing_received, late_data,
   * late_callback), `buffered` and `target` samples, `started` (playback began), `callback` (their count), `within` (the device went
   * without sound at some time in these last ms; 0 if it did not).
   */
  render(out, now) {
    const counts = this.#counts;
    const { time, gone, slept, hurrying } = this.#clock.observe(this.#played / MS, now);
    const without = gone + (this.#sounding ? slept : 0);
    if (slept > 0) this.#buffer.restart();
    this.#began = (this.#began ?? now) + slept;
    counts.took = now - this.#began + out.length / MS;
    this.#played += out.length;
    counts.callbacks += 1;
    counts.late += gone > 0 || slept > 0 ? 1 : 0;
    const begun = this.#buffer.starts;
    this.#buffer.setReading(out.length);
    const excess = this.#buffer.excess(time);
    const speed = this.#drift.speed(excess === null ? null : excess + this.#queue.length, out.length);
    this.#gather(this.#queue.needed(out.length, speed), time);
    const before = this.#queue.length;
    this.#queue.read(out, speed);
    const taken = before - this.#queue.length;
    const heard = this.#account(taken);
    if (taken > out.length) counts.removed += taken - out.length;
    else counts.inserted += out.length - taken;
    counts.level = rms(out);
    counts.energy += (counts.level ** 2 * out.length) / 48_000;
    const early = hurrying && this.#buffer.excess(time) < 0;
    const { got, expected, underrun } = this.#judge(heard, out.length, without, early);
    return {
      got, expected, underrun, buffered: this.#queue.length + this.#buffer.buffered, target: this.#buffer.target,
      started: this.#buffer.starts > begun, callback: counts.callbacks, within: slept || (gone && NOTICED_AFTER),
    };
  }

  /** Counters since the beginning, by the names of webrtc-stats where it has one; `underruns` and `callbacks` are ours. */
  stats() {
    const [counts, buffer] = [this.#counts, this.#buffer];
    return {
      packetsReceived: buffer.packetsReceived, packetsDiscarded: buffer.packetsDiscarded, packetsLost: buffer.packetsLost,
      totalSamplesReceived: counts.total, totalSamplesDuration: counts.total / 48_000, concealedSamples: counts.concealed,
      silentConcealedSamples: counts.silentConcealed, concealmentEvents: counts.events,
      jitterBufferDelay: buffer.delayTicks / 48_000, jitterBufferTargetDelay: buffer.targetTicks / 48_000,
      jitterBufferEmittedCount: buffer.emitted, insertedSamplesForDeceleration: counts.inserted,
      removedSamplesForAcceleration: counts.removed, totalAudioEnergy: counts.energy, audioLevel: counts.level,
      callbacks: counts.callbacks, callbacksTookMs: counts.took, lateCallbacks: counts.late, underruns: copies(this.#underruns),
    };
  }

  /** Puts at least `wanted` samples into the queue. */
  #gather(wanted, now) {
    for (let planned = 0; planned < wanted; ) {
      const pull = this.#buffer.pull(now);
      const rest = wanted - planned;
      if (pull.kind === 'packet') planned += this.#put('real', this.#real(pull.samples));
      else if (pull.kind === 'missing') planned += this.#makeUp(pull.count || rest);
      else planned += this.#rest(pull.kind, rest);
    }
  }

  #real(samples) {
    if (!this.#sounding) {
      for (let i = 0; i < 2 * FADE_IN && i < samples.length; i += 1) samples[i] *= Math.max(0, i + 1 - FADE_IN) / FADE_IN;
    }
    this.#sounding = true;
    this.#concealer.hear(samples);
    return samples;
  }

  #makeUp(count) {
    const { samples, silent } = this.#concealer.conceal(count);
    this.#counts.silentConcealed += silent;
    return this.#put('madeUp', samples);
  }

  /** Silence, after a short tail if there was sound. */
  #rest(kind, count) {
    if (!this.#sounding) return this.#put(kind, new Float32Array(count));
    this.#sounding = false;
    const { samples } = this.#concealer.conceal(TAIL);
    for (let i = 0; i < TAIL; i += 1) samples[i] *= (TAIL - 1 - i) / TAIL;
    this.#concealer.forget();
    return this.#put('real', samples);
  }

  #put(kind, samples) {
    this.#queue.push(samples);
    this.#runs.push({ kind, left: samples.length });
    return samples.length;
  }

  /** Takes `taken` samples off the runs; returns how many of each kind. */
  #account(taken) {
    const heard = { real: 0, silent: 0, madeUp: 0, filling: 0, idle: 0 };
    for (let left = taken; left > 0; ) {
      const run = this.#runs[0];
      const part = Math.min(left, run.left);
      run.left -= part;
      left -= part;
      heard[run.kind] += part;
      if (run.kind === 'madeUp' && !this.#makingUp) this.#counts.events += 1;
      this.#makingUp = run.kind === 'madeUp';
      if (run.left === 0) this.#runs.shift();
    }
    this.#counts.total += heard.real + heard.silent + heard.madeUp;
    this.#counts.concealed += heard.madeUp;
    return heard;
  }

  /** `without`: ms that the device went without sound; `early`: it asked for what was not due yet. */
  #judge(heard, length, without, early) {
    const empty = heard.filling + heard.idle;
    const got = Math.max(0, length - heard.madeUp - empty);
    let [underrun, expected] = [null, length];
    if (without > 0 && heard.silent === 0) {
      underrun = 'late_callback';
      expected += Math.round(without * MS);
    } else if (heard.madeUp > 0) {
      underrun = early ? 'late_callback' : 'late_data';
    } else if (empty > 0) {
      underrun = heard.filling > 0 ? 'filling' : 'nothing_received';
    }
    if (underrun) {
      const stats = this.#underruns[CAUSES[underrun]];
      stats.count += 1;
      stats.samplesGot += got;
      stats.samplesExpected += expected;
    }
    return { got, expected, underrun };
  }
}

const copies = (record) => Object.fromEntries(Object.entries(record).map(([key, value]) => [key, { ...value }]));
