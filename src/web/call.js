// The face of a call for the page: starts the worker and the sound, and passes on what they say.

import { Backoff } from './patience.js';
import { Sound } from './sound.js';

const AGENT = `sidetone-web/1 ${globalThis.navigator?.userAgent ?? ''}`.slice(0, 120);
const STATS_PATIENCE = 1_000;

const beside = (name) => new URL(name, import.meta.url).href;
/** Where the page's policy demands Trusted Types: only this module can reach it, with names of its own. */
const policy = globalThis.trustedTypes?.createPolicy('sidetone-call', { createScriptURL: beside });
const script = (name) => policy?.createScriptURL(name) ?? beside(name);

/** `IP:PORT` of a WebSocket URL for the log; a page does not learn more than its URL says, so a host name is 0.0.0.0. */
function addressOf(url) {
  const { protocol, hostname, port } = new URL(url);
  const literal = /^[\d.]+$|^\[.*\]$/.test(hostname) ? hostname : hostname === 'localhost' ? '127.0.0.1' : '0.0.0.0';
  return `${literal}:${port || (protocol === 'wss:' ? 443 : 80)}`;
}

/**
 * One participant's call, from `join` to `leave`; for another one make another `Call`. Events (`CustomEvent`, with `detail`):
 * `state` {state: connecting|joined|reconnecting|refused|ended, reason, code, retryInMs, attempt}, `welcome` (the message),
 * `participant-joined` {stream, name, muted}, `participant-left` {stream, name, reason}, `mute` {stream, muted}, `chat` {from, text}
 * (of others), `speaking` {streams}, `own-speaking` {active, level}, `picture` {stream, jpeg}, `audio` {state: running|suspended|
 * interrupted|closed|unsupported|failed, sampleRate, baseLatencyMs, outputLatencyMs}, `sound-failed` {devices}: the files of their audio
 * threads did not come (an empty list: they did after all), `log` {event, fields} of src/event/catalogue.rs.
 */
export class Call extends EventTarget {
  #config;
  #worker = null;
  #stream = 0;
  #muted = false;
  /** Whether the worker has said anything: until then it is its files that may be missing. */
  #alive = false;
  #over = false;
  #sound;
  #hasMicrophone = false;
  #backoff = new Backoff();
  #retry = 0;
  #asked = new Map();
  #nextId = 0;
  #lastStats = null;
  #ended = null;

  /** `url`: `ws://host/ws`. */
  constructor({ url, name, room }) {
    super();
    this.#config = { url, name, room };
    this.#sound = new Sound(script, {
      log: (event, fields) => this.#emit('log', { event, fields }),
      state: (detail) => this.#emit('audio', detail),
      failed: (devices) => this.#emit('sound-failed', { devices }),
      wire: (role, port) => this.#worker?.postMessage({ do: role, port }, [port]),
    });
  }

  /** Own stream number, or 0. */
  get stream() {
    return this.#stream;
  }

  /** The last node before the destination, for analysers; null without sound. */
  get output() {
    return this.#sound.output;
  }

  /** Joins, with sound if the browser has it. Call it inside the click, so that sound may start. Never throws. */
  async join({ microphone = null, speakerId } = {}) {
    if (this.#worker) return;
    this.#start();
    // both at once: the click that allows them does not last
    await Promise.all([this.#sound.openSpeaker(speakerId), this.setMicrophone(microphone)]);
  }

  #start() {
    const worker = new Worker(script('engine.js'), { type: 'module' });
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#worker === worker && this.#hear(data);
    worker.onerror = ({ message }) => this.#worker === worker && !this.#alive && this.#broken(message);
    worker.postMessage({ do: 'join', ...this.#config, agent: AGENT, address: addressOf(this.#config.url), muted: this.#muted });
    worker.postMessage({ do: 'microphone', on: this.#hasMicrophone });
    this.#sound.rewire();
  }

  /** The worker did not start: its files come from the server, like everything else. With a `message` they came, and are broken. */
  #broken(message) {
    const reason = message || 'the server no longer gives the files of this page';
    this.#emit('log', { event: 'client.connect_failed', fields: { target: this.#config.url, address: null, stage: 'page', errno: null, reason } });
    if (message) {
      this.#emit('state', { state: 'ended', reason, code: null });
      this.#shut();
      return;
    }
    const delay = Math.round(this.#backoff.next(Math.random()));
    const attempt = this.#backoff.attempt + 1;
    this.#worker.terminate();
    this.#retry = setTimeout(() => {
      this.#retry = 0;
      this.#start();
    }, delay);
    this.#emit('log', { event: 'client.reconnecting', fields: { attempt, delay_ms: delay } });
    this.#emit('state', { state: 'reconnecting', stage: 'page', reason, code: null, retryInMs: delay, attempt });
  }

  /** Sends the sound of this track from now on, or none. */
  setMicrophone(track) {
    this.#hasMicrophone = Boolean(track);
    this.#worker?.postMessage({ do: 'microphone', on: this.#hasMicrophone });
    return this.#sound.setMicrophone(track);
  }

  /** Another speaker (an empty `id`: the system's own); gives whether that could be done. */
  setSpeaker(id, label) {
    return this.#sound.setSpeaker(id, label);
  }

  setMuted(muted) {
    this.#muted = muted;
    this.#worker?.postMessage({ do: 'mute', muted });
  }

  /** Silences the speaker; what is received is counted on. */
  setDeafened(deafened) {
    this.#sound.setDeafened(deafened);
  }

  say(text) {
    this.#worker?.postMessage({ do: 'say', text });
  }

  /** Sends a JPEG of at most 320x240 and 64 KiB; the latest goes if the network is slow. */
  sendPicture(jpeg) {
    const copy = jpeg.slice();
    this.#worker?.postMessage({ do: 'picture', jpeg: copy }, [copy.buffer]);
  }

  /** Unlocks the sound, inside a click; gives whether it runs. */
  resumeAudio() {
    return this.#sound.resume();
  }

  /** The network came back or the page is visible again: tries again now. */
  wake() {
    if (this.#over) return;
    if (this.#retry) {
      clearTimeout(this.#retry);
      this.#retry = 0;
      this.#start();
    }
    this.#worker?.postMessage({ do: 'wake' });
    this.#sound.wake();
  }

  /** Says goodbye and closes everything; `stats` gives the last figures from then on. */
  leave() {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end() {
    if (!this.#worker || this.#over) return;
    clearTimeout(this.#retry);
    if (!this.#alive) return this.#shut();
    const over = new Promise((resolve) => {
      this.addEventListener('over', resolve, { once: true });
      setTimeout(resolve, STATS_PATIENCE + 500);
    });
    await this.stats();
    this.#worker.postMessage({ do: 'leave' });
    await over;
    return this.#shut();
  }

  /** The report of `sidetone client --stats json`, and bits a second in `sidetone.bitrates`. */
  stats() {
    if (!this.#alive || this.#over) return Promise.resolve(this.#lastStats);
    const id = (this.#nextId += 1);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#answer(id, this.#lastStats), STATS_PATIENCE);
      this.#asked.set(id, { resolve, timer });
      this.#worker.postMessage({ do: 'stats', id });
    });
  }

  #answer(id, stats) {
    const asked = this.#asked.get(id);
    if (!asked) return;
    this.#asked.delete(id);
    clearTimeout(asked.timer);
    this.#lastStats = stats;
    asked.resolve(stats);
  }

  #hear({ event, detail, id }) {
    this.#alive = true;
    if (event === 'stats') {
      this.#answer(id, detail);
      return;
    }
    // the page hears of what its policy forbids only in its own documents
    if (event === 'violation') {
      document.dispatchEvent(new SecurityPolicyViolationEvent('securitypolicyviolation', detail));
      return;
    }
    if (event === 'welcome') this.#stream = detail.stream;
    if (event === 'state' && detail.state !== 'joined') this.#stream = 0;
    this.#emit(event, detail);
    if (event === 'state' && detail.state === 'joined') this.#sound.mend();
    if (event === 'state' && detail.state === 'refused') this.stats().then(() => this.#shut());
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #shut() {
    if (this.#over) return;
    this.#over = true;
    this.#sound.close();
    // the close frame leaves before the worker does
    setTimeout(() => this.#worker.terminate(), 500);
  }
}
