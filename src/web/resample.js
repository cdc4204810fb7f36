// Any sampling rate to any other, in a stream, and a little faster or slower on request. PURE.

/** Zero crossings of the sinc on each side. */
const HALF = 32;
/** Kernel values between two zero crossings; those between are interpolated (error below -100 dB). */
const PHASES = 512;
/** Kaiser window of about -90 dB. */
const BETA = 9;
/** Pass band of a conversion, as part of the lower Nyquist frequency: leaves room for the slope, so that nothing audible folds back. */
const CUTOFF = 0.93;

function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Right half of the windowed sinc, `PHASES` values a zero crossing. */
const KERNEL = Float64Array.from({ length: HALF * PHASES + 2 }, (_, i) => {
  const t = i / PHASES;
  if (i === 0) return 1;
  if (t >= HALF) return 0;
  return (Math.sin(Math.PI * t) / (Math.PI * t)) * (bessel(BETA * Math.sqrt(1 - (t / HALF) ** 2)) / bessel(BETA));
});

/**
 * A queue of samples at rate `from` that is read at rate `to`: windowed-sinc interpolation (J. O. Smith's band-limited interpolation).
 * Sound comes out 32 zero crossings late (`delay` samples of `from`). At equal rates and speed 1 samples pass bit for bit.
 */
export class Resampler {
  #step;
  #scale;
  #half;
  #queue;
  #length;
  /** Reading position between queue[half] and the next, 0..1. */
  #fraction = 0;

  constructor(from, to) {
    this.#step = from / to;
    // zero crossings a sample: 1 between equal rates
    this.#scale = from === to ? 1 : CUTOFF * Math.min(1, to / from);
    this.#half = Math.ceil(HALF / this.#scale);
    this.#queue = new Float32Array(8192);
    this.#length = this.#half;
  }

  /** Samples of `from` between going in and coming out. */
  get delay() {
    return this.#half;
  }

  /** Samples of `from` that were pushed and not yet passed by. */
  get length() {
    return this.#length - this.#half;
  }

  /** Appends samples. */
  push(samples) {
    const length = this.#length + samples.length;
    if (length > this.#queue.length) {
      const queue = new Float32Array(2 * length);
      queue.set(this.#queue.subarray(0, this.#length));
      this.#queue = queue;
    }
    this.#queue.set(samples, this.#length);
    this.#length = length;
  }

  /** Samples that must be pushed before `count` can be read. */
  needed(count, speed = 1) {
    const last = Math.floor(this.#fraction + (count - 1) * this.#step * speed + 1e-9);
    return Math.max(0, last + 2 * this.#half + 1 - this.#length);
  }

  /** How many samples can be read. */
  available(speed = 1) {
    const passed = this.#length - 2 * this.#half - this.#fraction;
    return passed <= 0 ? 0 : Math.ceil(passed / (this.#step * speed) - 1e-9);
  }

  /** Fills the front of `out`; `speed` above 1 empties the queue faster. Returns samples written. */
  read(out, speed = 1) {
    const step = this.#step * speed;
    let at = 0;
    let written = 0;
    for (; written < out.length && at + 2 * this.#half < this.#length; written += 1) {
      out[written] = step === 1 && this.#fraction === 0 ? this.#queue[at + this.#half] : this.#interpolate(at + this.#half);
      const next = this.#fraction + step;
      // a sum that misses a whole number by rounding alone is that number
      const whole = Math.floor(next + 1e-9);
      this.#fraction = Math.max(0, next - whole);
      at += whole;
    }
    // `at` may be beyond the queue by less than a step
    const passed = Math.min(at, this.#length);
    this.#queue.copyWithin(0, passed, this.#length);
    this.#length -= passed;
    this.#fraction += at - passed;
    return written;
  }

  #interpolate(center) {
    const queue = this.#queue;
    const pitch = this.#scale * PHASES;
    let sum = 0;
    let t = this.#fraction * pitch;
    for (let i = center; i > center - this.#half && t < HALF * PHASES; i -= 1, t += pitch) {
      const k = t | 0;
      sum += queue[i] * (KERNEL[k] + (KERNEL[k + 1] - KERNEL[k]) * (t - k));
    }
    t = (1 - this.#fraction) * pitch;
    for (let i = center + 1; i <= center + this.#half && t < HALF * PHASES; i += 1, t += pitch) {
      const k = t | 0;
      sum += queue[i] * (KERNEL[k] + (KERNEL[k + 1] - KERNEL[k]) * (t - k));
    }
    return sum * this.#scale;
  }
}
