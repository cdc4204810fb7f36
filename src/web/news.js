// What of the playout is worth a line in the log. PURE.

/** How long the first packet may take before its absence is reported, callbacks. */
const FIRST_PACKET = 50;

/** A run of callbacks with the same cause is one event; the counts are in the statistics. */
export class News {
  #reported = null;
  /** Nothing is received, and that was said: once until sound comes back. */
  #lacking = false;

  /** What one callback gave (see `Playout.render`) as events: `[[name, fields]]`. */
  of({ got, expected, underrun, buffered, target, started, callback }) {
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
    return events;
  }
}
