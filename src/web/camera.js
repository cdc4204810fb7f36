// The camera: pictures of at most 320x240, as JPEG, up to 15 a second.

import { MAX_HEIGHT, MAX_PICTURE, MAX_WIDTH } from './wire.js';

const PACE_MS = 1000 / 15;
/** Pace of a tab that nobody looks at: there the browser gives no frames, and timers run once a second. */
const HIDDEN_PACE_MS = 1000;
const QUALITIES = [0.7, 0.55, 0.4, 0.25, 0.1];

/** Size of a picture that fits the wire in its aspect; never scaled up. PURE. */
export function fitted(width, height) {
  const scale = Math.min(1, MAX_WIDTH / width, MAX_HEIGHT / height);
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** A camera that is on. */
export class Camera {
  #video = document.createElement('video');
  #canvas = new OffscreenCanvas(MAX_WIDTH, MAX_HEIGHT);
  #context = this.#canvas.getContext('2d', { alpha: false });
  #encoding = false;
  #last = -Infinity;
  #quality = 0;
  #timer = 0;
  #stopped = false;

  /**
   * `picture(canvas, width, height)` is called for each picture taken; `jpeg(bytes)` for each that is encoded (leave it
   * out for a preview).
   */
  constructor(track, { picture, jpeg = null }) {
    this.track = track;
    this.picture = picture;
    this.jpeg = jpeg;
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.srcObject = new MediaStream([track]);
    this.#video.play().catch(() => {}); // stopped before it began
    this.#wait();
    this.#timer = setInterval(() => document.hidden && this.#take(HIDDEN_PACE_MS), HIDDEN_PACE_MS);
  }

  /** Off, and its light too. */
  stop() {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#video.srcObject = null;
    this.track.stop();
  }

  #wait() {
    const take = () => {
      if (this.#stopped) return;
      this.#take(PACE_MS);
      this.#wait();
    };
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(take);
    else setTimeout(take, PACE_MS);
  }

  #take(pace) {
    const now = performance.now();
    // A little early is on time, or a 30 Hz camera that jitters would be taken at 10.
    if (now - this.#last < pace - 8 || !this.#video.videoWidth) return;
    this.#last = Math.max(this.#last + pace, now - pace);
    const [width, height] = fitted(this.#video.videoWidth, this.#video.videoHeight);
    if (this.#encoding) return;
    if (this.#canvas.width !== width || this.#canvas.height !== height) [this.#canvas.width, this.#canvas.height] = [width, height];
    this.#context.drawImage(this.#video, 0, 0, width, height);
    this.picture(this.#canvas, width, height);
    if (this.jpeg) this.#encode();
  }

  async #encode() {
    this.#encoding = true;
    try {
      const blob = await this.#canvas.convertToBlob({ type: 'image/jpeg', quality: QUALITIES[this.#quality] });
      const bytes = new Uint8Array(await blob.arrayBuffer());
      const fits = bytes.length <= MAX_PICTURE;
      if (!fits && this.#quality < QUALITIES.length - 1) this.#quality += 1;
      else if (bytes.length < MAX_PICTURE / 3 && this.#quality > 0) this.#quality -= 1;
      if (fits && blob.type === 'image/jpeg' && !this.#stopped) this.jpeg(bytes);
    } finally {
      this.#encoding = false;
    }
  }
}
