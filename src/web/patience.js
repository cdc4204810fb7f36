// How long to wait: between two attempts to connect, and for a sign of life. PURE.

/** Time between pings; a server that is silent for the second is gone, ms. */
export const [HEARTBEAT, TIMEOUT] = [2_000, 10_000];
/** A timer that fires so late was itself asleep: the server gets time for one more answer, ms. */
const OVERSLEPT = 3_000;
/** After a change of network the server must be heard within this, ms. */
const WAKE_PATIENCE = 3_000;

/** Doubles a ceiling from 200 ms to 15 s; each delay is drawn from the upper half of it. */
export class Backoff {
  attempt = 0;

  next(chance) {
    const ceiling = Math.min(200 * 2 ** Math.min(this.attempt, 20), 15_000);
    this.attempt += 1;
    return ceiling * (0.5 + Math.min(Math.max(chance, 0), 1) / 2);
  }

  reset() {
    this.attempt = 0;
  }
}

/** When to ping, when the server is gone. Every frame is a sign of life. */
export class Heartbeat {
  #heard;
  #pinged;
  #polled;
  #patience = Infinity;

  constructor(now) {
    [this.#heard, this.#pinged, this.#polled] = [now, now, now];
  }

  received(now) {
    this.#heard = now;
    this.#patience = Infinity;
  }

  /** Asks at once, and shortens the patience. */
  hurry(now) {
    this.#pinged = now - HEARTBEAT;
    this.#patience = Math.min(this.#patience, now + WAKE_PATIENCE);
  }

  /** `{ping: true}`, `{gone: silent ms}` or `{wait: until}`; a ping counts as done. */
  poll(now) {
    if (now - this.#polled > HEARTBEAT + OVERSLEPT) {
      this.#heard = Math.max(this.#heard, now - TIMEOUT + OVERSLEPT);
      this.#pinged = now - HEARTBEAT;
    }
    this.#polled = now;
    const end = Math.min(this.#heard + TIMEOUT, this.#patience);
    if (now >= end) return { gone: now - this.#heard };
    const next = this.#pinged + HEARTBEAT;
    if (now < next) return { wait: Math.min(next, end) };
    this.#pinged = now;
    return { ping: true };
  }
}
