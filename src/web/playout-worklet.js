// The speaker on the audio thread: asks the playout for 10 ms at 48 kHz whenever the device has used up the last, and converts them to
// the device's rate.

import { Playout } from './playout.js';
import { Resampler } from './resample.js';

const PERIOD = 480;
/** How long the first packet may take before its absence is reported, callbacks. */
const FIRST_PACKET = 50;

/** Milliseconds; an audio thread may have no better clock than the calendar's. */
const now = globalThis.performance ? () => performance.now() : () => Date.now();

class Speaker extends AudioWorkletProcessor {
  #playout = new Playout();
  #resampler = new Resampler(48_000, sampleRate);
  #period = new Float32Array(PERIOD);
  #port = null;
  #reported = null;
  #gain = 1;
  #deafened = false;
  #started = false;
  #ended = false;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.port) this.#connect(data.port);
      if (data.deafened !== undefined) this.#deafened = data.deafened;
      if (data.end) this.#ended = true;
    };
  }

  #connect(port) {
    this.#port = port;
    port.onmessage = ({ data }) => {
      if (data.start) this.#started = true;
      else if (data.endStream) this.#playout.endStream();
      else if (data.stats) port.postMessage({ stats: this.#playout.stats() });
      else this.#playout.push(data, now());
    };
  }

  process(_, [[out]]) {
    // before the first welcome nobody expects sound
    if (!this.#started) return !this.#ended;
    while (this.#resampler.needed(out.length) > 0) {
      this.#report(this.#playout.render(this.#period, now()));
      this.#resampler.push(this.#period);
    }
    this.#resampler.read(out);
    const target = this.#deafened ? 0 : 1;
    if (this.#gain !== target || target === 0) {
      const step = (target - this.#gain) / out.length;
      for (let i = 0; i < out.length; i += 1) out[i] *= this.#gain + step * (i + 1);
      this.#gain = target;
    }
    return !this.#ended;
  }

  /** A run of callbacks with the same cause is one event; the counts are in the statistics. */
  #report({ got, expected, underrun, buffered, target, started, callback }) {
    if (started) this.#log('audio.playing', { buffered_samples: buffered, target_samples: target });
    // the first packet of a stream takes its time; until then an empty buffer is no news
    const news = underrun === 'nothing_received' && callback < FIRST_PACKET ? null : underrun;
    const fields = { samples_got: got, samples_expected: expected };
    if (news && news !== this.#reported) {
      if (news === 'filling') this.#log('audio.filling', { ...fields, callback });
      else this.#log('audio.underrun', { cause: news, ...fields, buffered_samples: buffered, callback });
    }
    this.#reported = news;
  }

  #log(event, fields) {
    this.#port?.postMessage({ log: { event, fields } });
  }
}

registerProcessor('sidetone-playout', Speaker);
