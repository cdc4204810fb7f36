// What a person can meet, in words: what happened, and what to do. PURE.

const ASK_AGAIN = 'then press "Try again"';

/**
 * Each situation: `rank` (the highest is shown), `alert` (interrupts a screen reader), `quiet` (not shown as a banner),
 * `action` (label of its button) and its sentence from details.
 */
export const SITUATIONS = {
  'blocked-by-policy': {
    rank: 95, alert: true,
    say: ({ directive = 'connect-src' }) =>
      `A security policy (${directive}) of this page forbids it to reach its own server. Whoever runs a proxy in front of the server must let "${directive} 'self'" through unchanged.`,
  },
  'insecure-origin': {
    rank: 60, alert: true,
    say: ({ origin = '', port = '' }) =>
      `The page came over plain HTTP (${origin}), so the browser keeps microphone, camera and sound from it. On the server's own machine open http://localhost${port}; from elsewhere the server needs https. You can still join, watch and write.`,
  },
  'websocket-refused': {
    rank: 90, alert: true, action: 'Try now',
    say: ({ origin = '' }) =>
      `The server answers, but refuses this page's WebSocket. If you came by another name or through a proxy, ask whoever runs it for --allow-origin ${origin}; a proxy must also pass WebSocket upgrades on.`,
  },
  'offline': {
    rank: 88, alert: true,
    say: () => 'This device is offline. Check its network; the call comes back by itself.',
  },
  'server-gone': {
    rank: 85, alert: true, action: 'Try now',
    say: ({ joined, replaced }) => joined
      ? 'The server is gone. Stay here: your place, and the sound, come back by themselves.'
      : replaced
        ? 'The server answers, but was replaced meanwhile and no longer has the files of this page. Load the page again.'
        : 'The server does not answer. This page keeps trying and joins as soon as it can.',
  },
  'server-full': {
    rank: 80, alert: true,
    say: () => 'Every place on this server is taken. Try again when somebody has left.',
  },
  'name-taken': {
    rank: 80, alert: true,
    say: ({ name = '', room = '' }) => `Somebody called "${name}" is already in "${room}". Choose another name and join again.`,
  },
  'refused': {
    rank: 80, alert: true,
    say: ({ reason = '' }) => `The server said no${reason ? `: ${reason.replace(/[.\s]+$/, '')}` : ''}. Change what it names and join again.`,
  },
  'autoplay-locked': {
    rank: 75, alert: true,
    say: () => 'The browser holds the sound back until you touch the page. Press "Turn sound on".',
  },
  'no-webcodecs': {
    rank: 55, alert: true,
    say: () => 'This browser has no WebCodecs audio, so you are here with sound off: pictures and chat work. For sound, use a current Chrome, Edge, Firefox or Safari.',
  },
  'sound-failed': {
    rank: 54, alert: true,
    say: ({ devices = [] }) =>
      `${devices.length === 1 && devices[0] === 'microphone' ? 'Your microphone' : 'Sound'} could not be started, since a file of this page did not come; pictures and chat work. Load the page again to have it.`,
  },
  'permission-denied': {
    rank: 50, alert: true, action: 'Try again',
    say: () => `The browser was told not to give this page your microphone. Allow it by the icon beside the address, ${ASK_AGAIN}. Until then you can listen.`,
  },
  'microphone-busy': {
    rank: 50, alert: true, action: 'Try again',
    say: () => `Your microphone does not open; another program may be using it. Close that, ${ASK_AGAIN}. Until then you can listen.`,
  },
  'no-microphone': {
    rank: 50, alert: true, action: 'Try again',
    say: ({ unplugged }) =>
      `${unplugged ? 'Your microphone was unplugged' : 'No microphone was found'}. Plug one in, ${ASK_AGAIN}. Until then you can listen.`,
  },
  'no-camera': {
    rank: 40, alert: false,
    say: ({ error }) => ({
      NotAllowedError: 'The browser was told not to give this page your camera. Allow it by the icon beside the address, then press "Camera".',
      NotReadableError: 'Your camera does not open; another program may be using it. Close that, then press "Camera".',
      ended: 'Your camera was unplugged. Plug it in, then press "Camera".',
    })[error] ?? 'No camera was found, which is no hindrance. To be seen, plug one in and press "Camera".',
  },
  'network-changed': {
    rank: 30, alert: false,
    say: () => 'Your network changed. The connection is checked; nothing to do.',
  },
  'background': {
    rank: 10, alert: false, quiet: true,
    say: () => 'This tab is in the background: sound goes on, pictures wait until you come back.',
  },
};

/** Word for a failed getUserMedia of a microphone, by the exception's name. */
export const microphoneSituation = (error) =>
  ({ NotAllowedError: 'permission-denied', SecurityError: 'permission-denied', NotReadableError: 'microphone-busy', AbortError: 'microphone-busy' })[error] ?? 'no-microphone';

/** Word for a refusal, by its code on the wire. */
export const refusalSituation = (code) =>
  ({ server_full: 'server-full', name_taken: 'name-taken' })[code] ?? 'refused';

/** All that is the case now; the most important one is shown. */
export class Situations {
  #now = new Map();
  #told;

  /** `told(word, sentence)` is called for each one that is new or has a new sentence. */
  constructor(told = () => {}) {
    this.#told = told;
  }

  /** Something is the case. */
  raise(word, details = {}) {
    const sentence = SITUATIONS[word].say(details);
    if (this.#now.get(word) === sentence) return;
    this.#now.set(word, sentence);
    this.#told(word, sentence);
  }

  /** It is not any more. */
  clear(...words) {
    for (const word of words) this.#now.delete(word);
  }

  /** Whether it is the case. */
  has(word) {
    return this.#now.has(word);
  }

  /** The most important one: `{ word, sentence, alert, action, quiet }`, or null. */
  get current() {
    const words = [...this.#now.keys()].sort((a, b) => SITUATIONS[b].rank - SITUATIONS[a].rank);
    if (words.length === 0) return null;
    const { alert, action = null, quiet = false } = SITUATIONS[words[0]];
    return { word: words[0], sentence: this.#now.get(words[0]), alert, action, quiet };
  }
}
