// One received stream of decoded sound on its way to a speaker: jitter buffer, concealment, clock drift and the counters of
// webrtc-stats, as src/audio/{jitter,voice,playout}.rs do it, but of samples instead of packets. PURE: `now` is an argument, in
// milliseconds. Positions and delays inside are 48 kHz ticks.
//
//            packet             due                      keep-alive
// stopped -----------> filling -----> playing ------------------------------> silent
//    ^                                   |  ^                due               |  |
//    +------ nothing for 500 ms ---------+  +----------------------------------+  |
//    +------ nothing for 500 ms --------------------------------------------------+
//
// A packet's relative delay is how much later it came than the fastest of the last 10 s would have, by the sender's timestamps. The
// target is its 99 % quantile. In `playing` a gap inside the stream is a loss: made up, and playback goes on behind it. An empty buffer
// is late data: made up, and playback waits, so the delay grows as the network asks for. In silence nothing is lost.

import { rms } from './level.js';
import { Resampler } from './resample.js';

const FRAME = 960;
const MS = 48;
const MIN_TARGET = 40 * MS;
const MAX_TARGET = 400 * MS;
const STOPPED_AFTER = 500 * MS;
/** Packets that are ever kept, against a reader that never reads. */
const MAX_PACKETS = 64;
/** Arrivals that the target is drawn from: at most so many, at most so old. */
const [WINDOW_COUNT, WINDOW_AGE] = [500, 480_000];
/** Added to the quantile (10 ms): the reader's own unevenness. */
const MARGIN = 10 * MS;
/** A timestamp that is so far off is that of a new stream. */
const RESTART = 48_000;

/** Arrivals of the last seconds and what follows from them. */
class Delays {
  window = [];
  fastest = 0;
  quantile = 0;
  #scratch = new Float64Array(WINDOW_COUNT);

  add(arrival, position) {
    const window = this.window;
    window.push({ arrival, offset: arrival - position });
    while (window.length > WINDOW_COUNT || window[0].arrival < arrival - WINDOW_AGE) window.shift();
    for (let i = 0; i < window.length; i += 1) this.#scratch[i] = window[i].offset;
    const sorted = this.#scratch.subarray(0, window.length).sort();
    this.fastest = sorted[0];
    this.quantile = sorted[sorted.length - 1 - Math.floor(sorted.length / 100)] - this.fastest;
  }
}

/**
 * The jitter buffer. What `pull` gives: `{kind: 'packet', samples}`, `silent` (the sender is), `filling`, `idle` (nothing received), or
 * `missing` with `count` samples to make up (0: as many as the reader needs now).
 */
export class JitterBuffer {
  starts = 0;
  packetsReceived = 0;
  packetsDiscarded = 0;
  packetsLost = 0;
  delayTicks = 0;
  targetTicks = 0;
  emitted = 0;
  #entries = []; // by position
  #state = 'stopped';
  #cursor = -Infinity;
  #sequence = 0;
  #newestSequence = null;
  #frame = FRAME;
  #starved = false;
  #newest = 0;
  #lastArrival = null;
  #ended = false;
  #delays = new Delays();
  #reading = 0;
  #sounded = false;

  /** Takes decoded `samples`, or null for a keep-alive. `sequence` and `timestamp` wrap at 16 and 32 bits. */
  push({ sequence, timestamp, samples }, now) {
    const arrival = now * MS;
    this.packetsReceived += 1;
    this.#ended = false;
    const position = this.#unwrap(timestamp, arrival);
    this.#countLost(sequence);
    this.#delays.add(arrival, position);
    this.#newest = Math.max(this.#newest, position);
    this.#lastArrival = Math.max(this.#lastArrival ?? arrival, arrival);
    const entry = { position, sequence, arrival, samples };
    let at = this.#entries.length;
    while (at > 0 && this.#entries[at - 1].position >= position) at -= 1;
    if (position < this.#cursor || this.#entries[at]?.position === position) {
      this.#discard(entry);
      return;
    }
    this.#entries.splice(at, 0, entry);
    if (this.#entries.length > MAX_PACKETS) this.#dropFirst();
  }

  /** The connection is gone: what is here is played, and nothing is made up for what does not come. The next packet goes on. */
  end() {
    this.#ended = true;
  }

  /** Says how many samples the reader is going to take at once: the target has room for the most it lately took. */
  setReading(samples) {
    this.#reading = Math.max(Math.min(samples, MAX_TARGET), this.#reading - this.#reading / 256);
  }

  /** What to play next. */
  pull(now) {
    return this.#state === 'playing' ? this.#pullPlaying(now * MS) : this.#pullWaiting(now * MS);
  }

  /** How much later than the target the next packet plays if it is pulled now, in samples; null while nothing plays. */
  excess(now) {
    return this.#state === 'playing' ? this.#overdue(now * MS, this.#cursor) : null;
  }

  /** Samples that wait. */
  get buffered() {
    return this.#entries.reduce((sum, entry) => sum + (entry.samples?.length ?? 0), 0);
  }

  /** The delay that the network asks for, in samples. */
  get target() {
    return Math.round(Math.min(Math.max(this.#delays.quantile + MARGIN + this.#reading, MIN_TARGET), MAX_TARGET));
  }

  /** The reader slept: what came meanwhile says nothing of the network, and what is old is not played. */
  restart() {
    this.#begin();
  }

  #overdue(now, position) {
    return now - this.#delays.fastest - this.target - position;
  }

  /** The timestamp without its wraps; begins anew if the sender did. */
  #unwrap(timestamp, arrival) {
    const position = this.#newest + ((timestamp - (this.#newest % 2 ** 32)) | 0);
    const last = this.#delays.window.at(-1);
    const known = last !== undefined && arrival - last.arrival <= WINDOW_AGE;
    const early = arrival - position - this.#delays.fastest < -RESTART;
    if (known && !early && position >= this.#newest - RESTART) return position;
    this.#begin();
    this.#newest = timestamp;
    return timestamp;
  }

  #begin() {
    while (this.#entries.length > 0) this.#dropFirst();
    this.#delays.window.length = 0;
    this.#cursor = -Infinity;
    this.#newestSequence = null;
    this.#stop();
  }

  /** Lost is what neither came nor is later found to come. */
  #countLost(sequence) {
    const ahead = this.#newestSequence === null ? 1 : (sequence - this.#newestSequence) & 0xffff;
    if (ahead === 0) return;
    if (ahead < 0x8000) {
      this.packetsLost += ahead - 1;
      this.#newestSequence = sequence;
    } else {
      this.packetsLost = Math.max(0, this.packetsLost - 1);
    }
  }

  #stop() {
    this.#state = 'stopped';
    this.#sounded = false;
  }

  #pullWaiting(now) {
    while (this.#entries.length > 0 && !this.#entries[0].samples) {
      const first = this.#entries.shift();
      this.#cursor = first.position;
      this.#sequence = first.sequence;
      this.#state = 'silent';
    }
    if (this.#entries.length === 0) {
      if (this.#hasStopped(now)) this.#stop();
      return { kind: this.#state === 'stopped' ? 'idle' : 'silent' };
    }
    if (this.#state === 'stopped') this.#state = 'filling';
    if (this.#overdue(now, this.#entries[0].position) < 0) return { kind: this.#state };
    if (this.#state === 'filling') this.#trim(now);
    if (!this.#sounded) {
      this.#sounded = true;
      this.starts += 1;
    }
    this.#state = 'playing';
    return this.#emit(now);
  }

  #pullPlaying(now) {
    while (this.#span() > MAX_TARGET) this.#dropFirst();
    if (this.#starved) this.#trim(now);
    const first = this.#entries[0];
    if (!first) {
      if (this.#hasStopped(now)) {
        this.#stop();
        return { kind: 'idle' };
      }
      this.#starved = true;
      return { kind: 'missing', count: 0 };
    }
    const gap = first.position - this.#cursor;
    if (gap > this.#frame / 2 && gap < Infinity) {
      // Sequences without a gap: nothing is missing, the sender paused.
      const paused = first.sequence === ((this.#sequence + 1) & 0xffff);
      if (this.#starved) {
        // What is missing was made up while the reader waited.
        if (this.#overdue(now, first.position) < 0) return { kind: 'missing', count: 0 };
      } else if (paused || gap > MAX_TARGET) {
        this.#state = 'silent';
        return this.#pullWaiting(now);
      } else {
        this.#cursor += this.#frame;
        this.#sequence = (this.#sequence + 1) & 0xffff;
        return { kind: 'missing', count: this.#frame };
      }
    }
    if (!first.samples) {
      this.#state = 'silent';
      return this.#pullWaiting(now);
    }
    return this.#emit(now);
  }

  #emit(now) {
    const { position, sequence, arrival, samples } = this.#entries.shift();
    this.#frame = samples.length;
    this.#cursor = position + samples.length;
    this.#sequence = sequence;
    this.#starved = false;
    this.delayTicks += Math.max(0, now - arrival) * samples.length;
    this.targetTicks += this.target * samples.length;
    this.emitted += samples.length;
    return { kind: 'packet', samples };
  }

  /** After a gap in playback: throws away what is later than the target allows, but never the last packet of sound. */
  #trim(now) {
    while (this.#entries[1]?.samples && this.#overdue(now, this.#entries[0].position) >= FRAME + this.#reading) this.#dropFirst();
  }

  #span() {
    return this.#entries.length === 0 ? 0 : this.#entries.at(-1).position - this.#entries[0].position;
  }

  #dropFirst() {
    const entry = this.#entries.shift();
    this.#cursor = Math.max(this.#cursor, entry.position + Math.min(this.#frame, FRAME));
    this.#sequence = entry.sequence;
    this.#discard(entry);
  }

  #discard(entry) {
    // A keep-alive that nobody needs any more is no loss.
    if (entry.samples) this.packetsDiscarded += 1;
  }

  #hasStopped(now) {
    return this.#ended || this.#lastArrival === null || now - this.#lastArrival > STOPPED_AFTER;
  }
}

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

/** The most that the reading speed differs from 1: a tenth of a semitone. */
const MAX_CORRECTION = 0.005;
/** How much longer (30 ms) or shorter (10 ms) than the target the buffer may be without correction, samples. */
const [TOO_LONG, TOO_SHORT] = [1_440, -480];
/** A correction ends this close to the target, samples (2 ms). */
const CLOSE = 96;
/** For how long the buffer must be off before a correction begins, samples (1 s). */
const PATIENCE = 48_000;

/** Decides at which speed to read. */
class Drift {
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

/** Samples over which sound begins (2.5 ms), after as many that still belong to what the sender encoded before its pause. */
const FADE_IN = 120;
/** Samples of made-up sound that fade away after the last packet of a talk spurt (5 ms). */
const TAIL = 240;
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
   * late_callback), `buffered` and `target` samples, `started` (playback began), `callback` (their count).
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
      started: this.#buffer.starts > begun, callback: counts.callbacks,
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
