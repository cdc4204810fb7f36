// How loud a frame is, and whether anybody speaks: the numbers of src/audio/level.rs. PURE. The audio thread imports this, where there
// is no more than the language itself (no TextEncoder, for instance).

/** The level that means silence. */
export const SILENCE = 127;

/** RMS of samples, linear; 0 for none. */
export function rms(samples) {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  return samples.length === 0 ? 0 : Math.sqrt(energy / samples.length);
}

const db = (samples) => 20 * Math.log10(rms(samples));

/** Level on the RFC 6464 scale: -dBov from 0 (loudest) to 127 (digital silence). A sine at full scale is 3. */
export function level(samples) {
  const below = Math.round(-db(samples));
  // NaN (a broken device) counts as silence.
  return below < SILENCE ? Math.max(below, 0) : SILENCE;
}

/** Samples of the pieces that a frame is judged by (5 ms), so that an onset late in a frame counts. */
const PIECE = 240;
/** Sound below this is never speech, dBFS. */
const QUIETEST = -62;
/** How far speech stands out of the noise, dB. */
const MARGIN = 10;
/** The noise floor is never taken to be above this, dBFS: a steady sound above it by `MARGIN` is never learned as noise. */
const LOUDEST_FLOOR = -58;
/** How fast the floor rises, dB a frame (3 dB/s). */
const RISE = 0.06;
/** Frames that stay active after the last loud one (200 ms), so that word ends are not cut. */
const HANGOVER = 10;

/** Voice activity by energy over a tracked noise floor. An onset is active in its own frame. */
export class VoiceActivity {
  #floor = -90;
  #hangover = 0;

  /** Whether this frame of 48 kHz sound is to be sent. Call it for every frame in order. */
  isActive(frame) {
    let loudest = -Infinity;
    let quietest = Infinity;
    for (let at = 0; at < frame.length; at += PIECE) {
      const loudness = db(frame.subarray(at, at + PIECE));
      if (Number.isNaN(loudness)) continue;
      loudest = Math.max(loudest, loudness);
      quietest = Math.min(quietest, loudness);
    }
    const threshold = Math.max(this.#floor + MARGIN, QUIETEST);
    this.#floor = Math.min(Math.max(Math.min(quietest, this.#floor + RISE), -100), LOUDEST_FLOOR);
    if (loudest > threshold) {
      this.#hangover = HANGOVER;
      return true;
    }
    const active = this.#hangover > 0;
    this.#hangover = Math.max(this.#hangover - 1, 0);
    return active;
  }
}
