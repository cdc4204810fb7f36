// The microphone's way out: voice activity, Opus through WebCodecs.

import { VoiceActivity, level, rms } from './level.js';
import { SILENCE } from './wire.js';

const FRAME = 960;
/** Frames between keep-alives of a silent microphone (400 ms). */
const KEEP_ALIVE_FRAMES = 20;
/** Frames between reports of the own level (100 ms). */
const LEVEL_FRAMES = 5;
/** Codec failures in a row before it is given up. */
const MAX_FAILURES = 5;

/** Sends what the microphone hears. */
export class Sender {
  muted = false;
  keepAlivesSent = 0;
  packetsSent = 0;
  bytesSent = 0;
  /** As W3C counts a media source. */
  source = { audioLevel: 0, totalAudioEnergy: 0, samples: 0 };
  #send;
  #tell;
  #config = null;
  #encoder = null;
  #activity = new VoiceActivity();
  /** Frames in the encoder, oldest first. */
  #pending = [];
  #failures = 0;
  #timestamp = 0;
  #silentFrames = 0;
  #frames = 0;
  #wasActive = false;
  #sinceReport = 0;

  /** `send(level, opus, timestamp)` hands a packet on; an empty one is a keep-alive. `tell(event, detail)` reaches the page. */
  constructor({ send, tell }) {
    this.#send = send;
    this.#tell = tell;
  }

  /** Takes a frame of 960 samples. */
  take(samples) {
    this.#timestamp = (this.#timestamp + FRAME) >>> 0;
    const energy = rms(samples);
    this.source.audioLevel = energy;
    this.source.totalAudioEnergy += (energy * energy * FRAME) / 48_000;
    this.source.samples += FRAME;
    const loudness = level(samples);
    const active = this.#activity.isActive(samples);
    this.#report(active, loudness);
    if (active && !this.muted) {
      this.#silentFrames = 0;
      // a frame of speech is never marked as silence, however quiet it is
      this.#encode(samples, Math.min(loudness, SILENCE - 1));
      return;
    }
    this.#silentFrames += 1;
    if (this.#silentFrames % KEEP_ALIVE_FRAMES === 1) this.#hand(SILENCE, new Uint8Array(), this.#timestamp);
  }

  /**
   * Through a pause the encoder is neither flushed nor made anew: a flush would pad the last packet, and a new encoder would predict
   * from nothing while the decoders go on from the last packet. As it is, both ends stand still together, and go on together.
   */
  #encode(samples, loudness) {
    this.#encoder ??= this.#open();
    if (!this.#encoder || this.#encoder.state !== 'configured') return;
    // a clock of its own, without gaps, so that the encoder neither fills nor drops anything after a pause
    const timestamp = this.#frames * 20_000;
    const data = new AudioData({ format: 'f32-planar', sampleRate: 48_000, numberOfChannels: 1, numberOfFrames: FRAME, timestamp, data: samples });
    this.#frames += 1;
    this.#pending.push({ level: loudness, timestamp: this.#timestamp });
    this.#encoder.encode(data);
    data.close();
  }

  #open() {
    if (!this.#config || this.#failures > MAX_FAILURES) return null;
    const encoder = new AudioEncoder({
      output: (chunk) => {
        this.#failures = 0;
        const frame = this.#pending.shift();
        if (!frame) return;
        const opus = new Uint8Array(chunk.byteLength);
        chunk.copyTo(opus);
        this.#hand(frame.level, opus, frame.timestamp);
      },
      error: (error) => {
        this.#pending.length = 0;
        this.#encoder = null;
        this.#failures += 1;
        if (this.#failures > MAX_FAILURES) this.#failed(error.message);
      },
    });
    encoder.configure(this.#config);
    return encoder;
  }

  /** Finds out which options the browser's encoder takes. */
  async prepare() {
    const plain = { codec: 'opus', sampleRate: 48_000, numberOfChannels: 1, bitrate: 128_000 };
    const opus = { frameDuration: 20_000, complexity: 5, usedtx: false, useinbandfec: false };
    for (const config of [{ ...plain, opus: { ...opus, application: 'lowdelay' } }, { ...plain, opus }, plain]) {
      const { supported } = await AudioEncoder.isConfigSupported(config).catch(() => ({ supported: false }));
      if (supported) {
        this.#config = config;
        return;
      }
    }
    this.#failed('this browser cannot encode Opus');
  }

  #failed(reason) {
    this.#tell('log', { event: 'device.failed', fields: { device: 'opus encoder', kind: 'microphone', reason } });
  }

  #hand(loudness, opus, timestamp) {
    if (this.#send(loudness, opus, timestamp)) {
      if (opus.length === 0) this.keepAlivesSent += 1;
      this.packetsSent += 1;
      this.bytesSent += 1 + opus.length;
    }
  }

  #report(active, loudness) {
    this.#sinceReport += 1;
    if (active === this.#wasActive && this.#sinceReport < LEVEL_FRAMES) return;
    this.#sinceReport = 0;
    this.#wasActive = active;
    this.#tell('own-speaking', { active, level: loudness });
  }
}
