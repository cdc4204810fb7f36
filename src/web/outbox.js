// What waits for the server. PURE.

/** 100 ms of sound. */
const AUDIO_FRAMES = 5;
/** Above so many bytes on their way sound waits: a chunk of a picture and 100 ms of sound at 128 kb/s. */
const AUDIO_ROOM = 10_240;
/** Above so many a chunk of a picture waits. */
const VIDEO_ROOM = 4_096;
/** Above so many the server does not read: no picture is even begun. */
const STALLED = 65_536;

/**
 * What waits for the server. Control frames go at once; of sound the oldest goes if there are more than 100 ms; of pictures the latest
 * replaces one that has not begun, and they go a chunk at a time, so that sound never waits long behind them.
 */
export class Outbox {
  counts = { audioSent: 0, audioDropped: 0, picturesSent: 0, picturesDropped: 0 };
  #audio = [];
  #sending = [];
  #latest = null;

  audio(frame) {
    this.#audio.push(frame);
    if (this.#audio.length > AUDIO_FRAMES) {
      this.#audio.shift();
      this.counts.audioDropped += 1;
    }
  }

  /** A picture as frames of chunks; `waiting`: bytes on their way. */
  picture(frames, waiting) {
    if (waiting > STALLED) {
      this.counts.picturesDropped += 1;
    } else if (this.#sending.length === 0) {
      this.#sending = frames;
    } else {
      if (this.#latest) this.counts.picturesDropped += 1;
      this.#latest = frames;
    }
  }

  /** Hands over what may go now; `waiting()` gives the bytes on their way. Gives whether anything is left. */
  drain(waiting, send) {
    while (this.#audio.length > 0 && waiting() <= AUDIO_ROOM) {
      send(this.#audio.shift());
      this.counts.audioSent += 1;
    }
    while (this.#audio.length === 0 && this.#sending.length > 0 && waiting() <= VIDEO_ROOM) {
      send(this.#sending.shift());
      if (this.#sending.length > 0) continue;
      this.counts.picturesSent += 1;
      [this.#sending, this.#latest] = [this.#latest ?? [], null];
    }
    return this.#audio.length > 0 || this.#sending.length > 0;
  }

  /** The connection is gone, and with it what waited. */
  clear() {
    this.counts.audioDropped += this.#audio.length;
    this.counts.picturesDropped += (this.#sending.length > 0 ? 1 : 0) + (this.#latest ? 1 : 0);
    [this.#audio, this.#sending, this.#latest] = [[], [], null];
  }
}
