// The way in to the speaker: Opus through WebCodecs.

/** Codec failures in a row before it is given up. */
const MAX_FAILURES = 5;

/** Decodes what was received, in order of arrival, for the playout worklet. */
export class Receiver {
  port = null;
  undecodable = 0;
  #log;
  #decoder = null;
  /** Packets in the decoder, oldest first. */
  #pending = [];
  #packets = 0;
  #failures = 0;

  /** `log(event, fields)` reaches the page. */
  constructor({ log }) {
    this.#log = log;
  }

  take({ sequence, timestamp, opus }) {
    if (!this.port) return;
    if (opus.length === 0) {
      this.port.postMessage({ sequence, timestamp, samples: null });
      return;
    }
    if (this.#failures > MAX_FAILURES) return;
    this.#decoder ??= this.#open();
    this.#pending.push({ sequence, timestamp });
    this.#decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: this.#packets * 20_000, duration: 20_000, data: opus }));
    this.#packets += 1;
  }

  /** The next packet belongs to another stream. */
  reset() {
    if (this.#decoder?.state === 'configured') this.#decoder.close();
    this.#decoder = null;
    this.#pending.length = 0;
    this.#failures = 0;
  }

  /** Nothing comes any more until somebody sends again. What is still in the decoder would tell the speaker otherwise, once it is out. */
  end() {
    this.reset();
    this.port?.postMessage({ endStream: true });
  }

  #open() {
    const decoder = new AudioDecoder({
      output: (data) => {
        const packet = this.#pending.shift();
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
        data.close();
        this.#failures = 0;
        if (packet && this.#decoder === decoder) this.port?.postMessage({ ...packet, samples }, [samples.buffer]);
      },
      error: (error) => {
        // What was in it is lost; the worklet makes it up. The next packet gets a new decoder.
        this.undecodable += this.#pending.length;
        this.#pending.length = 0;
        this.#decoder = null;
        this.#failures += 1;
        if (this.#failures > MAX_FAILURES) this.#log('device.failed', { device: 'opus decoder', kind: 'speaker', reason: error.message });
      },
    });
    decoder.configure({ codec: 'opus', sampleRate: 48_000, numberOfChannels: 1 });
    return decoder;
  }
}
