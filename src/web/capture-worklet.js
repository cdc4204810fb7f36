// The microphone on the audio thread: any channels and rate in, mono frames of 20 ms at 48 kHz out.

import { Resampler } from './resample.js';

const FRAME = 960;

class Capture extends AudioWorkletProcessor {
  #port = null;
  #resampler = new Resampler(sampleRate, 48_000);
  #frame = new Float32Array(FRAME);
  #filled = 0;
  #mono = new Float32Array(128);
  #ended = false;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.port) this.#port = data.port;
      if (data.end) this.#ended = true;
    };
  }

  process([channels]) {
    if (this.#ended) return false;
    const length = channels[0]?.length ?? 128;
    if (this.#mono.length !== length) this.#mono = new Float32Array(length);
    // a source that gives nothing at the moment is silent
    this.#mono.fill(0);
    for (const channel of channels) for (let i = 0; i < length; i += 1) this.#mono[i] += channel[i] / channels.length;
    this.#resampler.push(this.#mono);
    for (;;) {
      this.#filled += this.#resampler.read(this.#frame.subarray(this.#filled));
      if (this.#filled < FRAME) return true;
      this.#port?.postMessage(this.#frame, [this.#frame.buffer]);
      this.#frame = new Float32Array(FRAME);
      this.#filled = 0;
    }
  }
}

registerProcessor('sidetone-capture', Capture);
