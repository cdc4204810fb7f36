// The speaker on the audio thread: asks the playout for 10 ms at 48 kHz whenever the device has used up the last, and converts them to
// the device's rate.

import { News } from './news.js';
import { Playout } from './playout.js';
import { Resampler } from './resample.js';

const PERIOD = 480;

/** Milliseconds; an audio thread may have no better clock than the calendar's. */
const now = globalThis.performance ? () => performance.now() : () => Date.now();

class Speaker extends AudioWorkletProcessor {
  #playout = new Playout();
  #resampler = new Resampler(48_000, sampleRate);
  #period = new Float32Array(PERIOD);
  #port = null;
  #news = new News();
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
      if (data.start !== undefined) this.#started = data.start;
      else if (data.endStream) this.#playout.endStream();
      else if (data.stats) port.postMessage({ stats: this.#playout.stats() });
      else this.#playout.push(data, now());
    };
  }

  process(_, [[out]]) {
    // before the first welcome nobody expects sound
    if (!this.#started) return !this.#ended;
    while (this.#resampler.needed(out.length) > 0) {
      const rendered = this.#playout.render(this.#period, now());
      for (const [event, fields] of this.#news.of(rendered, Date.now())) this.#port?.postMessage({ log: { event, fields } });
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
}

registerProcessor('sidetone-playout', Speaker);
