// The face of a call for the page: starts the worker and the sound, and passes on what they say.

const AGENT = `sidetone-web/1 ${globalThis.navigator?.userAgent ?? ''}`.slice(0, 120);
/** A locked context may never answer, ms. */
const RESUME_PATIENCE = 1_000;
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

/** Whether this page can have sound at all. */
export const hasAudio = () =>
  Boolean(globalThis.isSecureContext && globalThis.AudioContext && globalThis.AudioWorkletNode && globalThis.AudioEncoder && globalThis.AudioDecoder);

/**
 * One participant's call, from `join` to `leave`; for another one make another `Call`. Events (`CustomEvent`, with `detail`):
 * `state` {state: connecting|joined|reconnecting|refused|ended, reason, code, retryInMs, attempt}, `welcome` (the message),
 * `participant-joined` {stream, name, muted}, `participant-left` {stream, name, reason}, `mute` {stream, muted}, `chat` {from, text}
 * (of others), `speaking` {streams}, `own-speaking` {active, level}, `picture` {stream, jpeg}, `audio` {state: running|suspended|
 * interrupted|closed|unsupported, sampleRate, baseLatencyMs, outputLatencyMs}, `log` {event, fields} of src/event/catalogue.rs.
 */
export class Call extends EventTarget {
  #config;
  #worker = null;
  #stream = 0;
  #muted = false;
  #deafened = false;
  #alive = false;
  #over = false;
  #speaker = null;
  #node = null;
  #microphone = null;
  #asked = new Map();
  #nextId = 0;
  #lastStats = null;
  #ended = null;

  /** `url`: `ws://host/ws`. */
  constructor({ url, name, room }) {
    super();
    this.#config = { url, name, room };
  }

  /** Own stream number, or 0. */
  get stream() {
    return this.#stream;
  }

  /** The last node before the destination, for analysers; null without sound. */
  get output() {
    return this.#node;
  }

  /** Joins, with sound if the browser has it. Call it inside the click, so that sound may start. Never throws. */
  async join({ microphone = null, speakerId } = {}) {
    if (this.#worker) return;
    const worker = new Worker(script('engine.js'), { type: 'module' });
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onerror = (error) => {
      if (this.#alive) return;
      // its files come from the server, like everything else
      const reason = error.message || 'the server is gone: it no longer gives the files of this page';
      const { url } = this.#config;
      this.#emit('log', { event: 'client.connect_failed', fields: { target: url, address: null, stage: 'page', errno: null, reason } });
      this.#emit('state', { state: 'ended', reason, code: null });
      this.#shut();
    };
    worker.postMessage({ do: 'join', ...this.#config, agent: AGENT, address: addressOf(this.#config.url), muted: this.#muted });
    if (!hasAudio()) {
      this.#emit('audio', { state: 'unsupported', sampleRate: 0, baseLatencyMs: 0, outputLatencyMs: 0 });
      return;
    }
    // both at once: the click that allows them does not last
    await Promise.all([this.#openSpeaker(speakerId), this.setMicrophone(microphone)]);
  }

  /** Sends the sound of this track from now on, or none. */
  async setMicrophone(track) {
    this.#closeMicrophone();
    this.#worker?.postMessage({ do: 'microphone', on: Boolean(track) });
    if (!track || !this.#worker || this.#over || !hasAudio()) return;
    const { sampleRate, channelCount = 1 } = track.getSettings();
    const microphone = { context: null, node: null };
    this.#microphone = microphone;
    try {
      microphone.context = openContext(sampleRate);
      const { context } = microphone;
      await context.audioWorklet.addModule(script('capture-worklet.js'));
      if (this.#microphone !== microphone) return;
      const node = new AudioWorkletNode(context, 'sidetone-capture', { numberOfOutputs: 0, channelCountMode: 'max' });
      microphone.node = node;
      microphone.source = context.createMediaStreamSource(new MediaStream([track]));
      microphone.source.connect(node);
      this.#wire(node, 'capture');
      this.#emit('log', deviceOpened(track.label || 'microphone', 'microphone', context.sampleRate, channelCount, Math.round(context.sampleRate / 50)));
    } catch (error) {
      if (this.#microphone === microphone) this.#closeMicrophone();
      this.#emit('log', deviceFailed(track.label || 'microphone', 'microphone', `${error.name}: ${error.message}`));
    }
  }

  setMuted(muted) {
    this.#muted = muted;
    this.#worker?.postMessage({ do: 'mute', muted });
  }

  /** Silences the speaker; what is received is counted on. */
  setDeafened(deafened) {
    this.#deafened = deafened;
    this.#node?.port.postMessage({ deafened });
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
  async resumeAudio() {
    const contexts = [this.#speaker, this.#microphone?.context].filter(Boolean);
    const patience = new Promise((resolve) => setTimeout(resolve, RESUME_PATIENCE));
    await Promise.race([Promise.allSettled(contexts.map((context) => context.resume())), patience]);
    return this.#speaker?.state === 'running';
  }

  /** The network came back or the page is visible again: tries again now. */
  wake() {
    this.#worker?.postMessage({ do: 'wake' });
    if (this.#speaker?.state === 'interrupted') this.resumeAudio();
  }

  /** Says goodbye and closes everything; `stats` gives the last figures from then on. */
  leave() {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end() {
    if (!this.#worker || this.#over) return;
    const over = new Promise((resolve) => {
      this.addEventListener('over', resolve, { once: true });
      setTimeout(resolve, STATS_PATIENCE + 500);
    });
    await this.stats();
    this.#worker.postMessage({ do: 'leave' });
    await over;
    this.#shut();
  }

  /** The report of `sidetone client --stats json`, and bits a second in `sidetone.bitrates`. */
  stats() {
    if (!this.#worker || this.#over) return Promise.resolve(this.#lastStats);
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
    if (event === 'state' && detail.state === 'refused') this.stats().then(() => this.#shut());
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  async #openSpeaker(speakerId) {
    try {
      const context = openContext();
      this.#speaker = context;
      const report = () => this.#emit('audio', {
        state: context.state, sampleRate: context.sampleRate, baseLatencyMs: 1_000 * context.baseLatency,
        outputLatencyMs: 1_000 * (context.outputLatency ?? 0),
      });
      context.addEventListener('statechange', report);
      await context.audioWorklet.addModule(script('playout-worklet.js'));
      if (this.#over) return;
      if (speakerId && context.setSinkId) {
        await context.setSinkId(speakerId).catch((error) => this.#emit('log', deviceFailed(speakerId, 'speaker', `${error.name}: ${error.message}`)));
      }
      const node = new AudioWorkletNode(context, 'sidetone-playout', { numberOfInputs: 0, outputChannelCount: [1] });
      this.#node = node;
      node.port.postMessage({ deafened: this.#deafened });
      node.connect(context.destination);
      this.#wire(node, 'playout');
      this.#emit('log', deviceOpened(speakerId || 'default', 'speaker', context.sampleRate, 1, Math.round(context.sampleRate / 100)));
      report();
    } catch (error) {
      this.#emit('log', deviceFailed(speakerId || 'default', 'speaker', `${error.name}: ${error.message}`));
      this.#emit('audio', { state: 'unsupported', sampleRate: 0, baseLatencyMs: 0, outputLatencyMs: 0 });
    }
  }

  /** A channel of its own between the audio thread and the worker. */
  #wire(node, role) {
    const { port1, port2 } = new MessageChannel();
    node.port.postMessage({ port: port1 }, [port1]);
    this.#worker.postMessage({ do: role, port: port2 }, [port2]);
    node.onprocessorerror = () => this.#emit('log', deviceFailed(role, role === 'capture' ? 'microphone' : 'speaker', 'the audio thread failed'));
  }

  #closeMicrophone() {
    const microphone = this.#microphone;
    this.#microphone = null;
    microphone?.node?.port.postMessage({ end: true });
    microphone?.source?.disconnect();
    microphone?.context?.close().catch(() => {});
  }

  #shut() {
    if (this.#over) return;
    this.#over = true;
    this.#closeMicrophone();
    this.#node?.port.postMessage({ end: true });
    this.#node?.disconnect();
    this.#speaker?.close().catch(() => {});
    // the close frame leaves before the worker does
    setTimeout(() => this.#worker.terminate(), 500);
  }
}

/** A context that runs; of the track's own rate, so that nothing is converted twice. */
function openContext(sampleRate) {
  let context;
  try {
    context = new AudioContext({ latencyHint: 'interactive', ...(sampleRate ? { sampleRate } : {}) });
  } catch {
    context = new AudioContext({ latencyHint: 'interactive' });
  }
  context.resume().catch(() => {});
  return context;
}

const deviceOpened = (device, kind, sample_rate, channels, period_samples) => ({
  event: 'device.opened', fields: { device, kind, sample_rate, channels, period_samples },
});
const deviceFailed = (device, kind, reason) => ({ event: 'device.failed', fields: { device, kind, reason } });
