// The jitter buffer of one received stream, as src/audio/jitter.rs, but of samples instead of packets. PURE: `now` is an argument, in
// milliseconds. Positions and delays inside are 48 kHz ticks.
//
//            packet             due                      keep-alive
// stopped -----------> filling -----> playing ------------------------------> silent
//    ^                                   |  ^                due               |  |
//    +------ nothing for 500 ms ---------+  +----------------------------------+  |
//    +------ nothing for 500 ms --------------------------------------------------+
//
// A packet's relative delay is how much later it came than the fastest of the last 10 s would have, by the sender's timestamps. The
// target is its 99 % quantile. What came before anything was played counts only as fast: the decoder and the audio thread were just
// starting, and what they held up came in a burst. In `playing` a gap inside the stream is a loss: made up, and playback goes on behind it. An empty buffer
// is late data: made up, and playback waits, so the delay grows as the network asks for. In silence nothing is lost.

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
/** For so long after playback began the end of a first burst may still come (200 ms). */
const EARLY = 200 * MS;

/** Arrivals of the last seconds and what follows from them. */
class Delays {
  window = [];
  fastest = 0;
  quantile = 0;
  /** The offsets of the window, in order: kept so, since sorting them at every packet is most of what the audio thread would do. */
  #sorted = new Float64Array(WINDOW_COUNT + 1);

  /** `phase`: 'before' anything was played only the fastest is kept, 'early' in playback what is slower than a faster one goes. */
  add(arrival, position, phase) {
    const window = this.window;
    let offset = arrival - position;
    if (window.length > 0 && (phase === 'before' || (phase === 'early' && offset < this.fastest))) {
      offset = Math.min(offset, this.fastest);
      this.clear();
    }
    window.push({ arrival, offset });
    this.#insert(offset, window.length - 1);
    while (window.length > WINDOW_COUNT || window[0].arrival < arrival - WINDOW_AGE) this.#remove(window.shift().offset, window.length + 1);
    const last = window.length - 1;
    this.fastest = this.#sorted[0];
    this.quantile = this.#sorted[last - Math.floor(window.length / 100)] - this.fastest;
  }

  clear() {
    this.window.length = 0;
  }

  #insert(offset, count) {
    const at = this.#find(offset, count);
    this.#sorted.copyWithin(at + 1, at, count);
    this.#sorted[at] = offset;
  }

  #remove(offset, count) {
    const at = this.#find(offset, count);
    this.#sorted.copyWithin(at, at + 1, count);
  }

  /** The first of `count` that is not below `offset`. */
  #find(offset, count) {
    let [low, high] = [0, count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle] < offset) low = middle + 1;
      else high = middle;
    }
    return low;
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
  /** When something was first pulled, sound or silence; null until then. */
  #begun = null;

  /** Takes decoded `samples`, or null for a keep-alive. `sequence` and `timestamp` wrap at 16 and 32 bits. */
  push({ sequence, timestamp, samples }, now) {
    const arrival = now * MS;
    this.packetsReceived += 1;
    this.#ended = false;
    const position = this.#unwrap(timestamp, arrival);
    this.#countLost(sequence);
    this.#delays.add(arrival, position, this.#begun === null ? 'before' : arrival < this.#begun + EARLY ? 'early' : 'on');
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
    this.#delays.clear();
    this.#cursor = -Infinity;
    this.#newestSequence = null;
    this.#begun = null;
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
      this.#begun ??= now;
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
    this.#begun ??= now;
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
