// What of the playout is worth a line in the log. PURE.

/** How long the first packet may take before its absence is reported, callbacks. */
const FIRST_PACKET = 50;
/** From one callback to the next. */
const PERIOD_MS = 10;

/** A run of callbacks with the same cause is one event; the counts are in the statistics. */
export class News {
  #reported = null;
  /** Nothing is received, and that was said: once until sound comes back. */
  #lacking = false;
  /** The run of missing sound: `cause`, `samples`, and `ms` since the last callback that lacked nothing; or null. */
  #gap = null;

  /** What one callback gave (see `Playout.render`) as events: `[[name, fields]]`. `utc`: milliseconds since 1970. */
  of({ got, expected, underrun, buffered, target, started, callback, within }, utc) {
    const events = started ? [['audio.playing', { buffered_samples: buffered, target_samples: target }]] : [];
    if (underrun === null || started) this.#lacking = false;
    // the first packet of a stream takes its time; until then an empty buffer is no news
    const early = underrun === 'nothing_received' && callback < FIRST_PACKET;
    const news = early || (this.#lacking && underrun !== 'filling') ? null : underrun;
    const fields = { samples_got: got, samples_expected: expected };
    if (news && news !== this.#reported) {
      this.#lacking = news === 'nothing_received';
      if (news === 'filling') events.push(['audio.filling', { ...fields, callback }]);
      else events.push(['audio.underrun', { cause: news, ...fields, buffered_samples: buffered, callback }]);
    }
    this.#reported = news;
    const lacks = early || underrun === 'filling' ? null : underrun;
    return [...this.#gone(lacks, expected - got, within, utc), ...events];
  }

  /** The gap that ended with this callback, if one did. */
  #gone(cause, samples, within, utc) {
    const ended = this.#gap && this.#gap.cause !== cause ? this.#gap : null;
    if (ended) this.#gap = null;
    const open = this.#gap ?? { cause, samples: 0, ms: 0 };
    if (cause) this.#gap = { cause, samples: samples + open.samples, ms: Math.max(PERIOD_MS, within) + open.ms };
    if (!ended) return [];
    const lasted = Math.max(ended.ms + PERIOD_MS, ended.samples / 48);
    const fields = { of: null, cause: ended.cause, samples: ended.samples, lasted_us: Math.round(1_000 * lasted), ended_utc_ms: utc };
    return [['audio.gap', fields]];
  }
}
