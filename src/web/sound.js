// Speaker and microphone of a call: one AudioContext each, and the audio threads behind them.

/** A locked context may never answer, ms. */
const RESUME_PATIENCE = 1_000;
const SILENT = { sampleRate: 0, baseLatencyMs: 0, outputLatencyMs: 0 };

/** Whether this page can have sound at all. */
export const hasAudio = () =>
  Boolean(globalThis.isSecureContext && globalThis.AudioContext && globalThis.AudioWorkletNode && globalThis.AudioEncoder && globalThis.AudioDecoder);

/** The sound of one call. Nothing here throws: what fails is told. */
export class Sound {
  #script;
  #told;
  #over = false;
  #deafened = false;
  #speakerId = '';
  /** `{context, node}` */
  #speaker = null;
  /** `{context, node, source, track}` */
  #microphone = null;
  /** Of several changes of the microphone only the last counts. */
  #turn = 0;
  #failed = new Set();

  /**
   * `script(name)`: URL of a worklet's module. Told are `log` (event, fields); `state` (the detail of a call's `audio` event); `failed`
   * (the devices without their audio thread, of 'speaker' and 'microphone'; none when it is well again); `wire` (role, port): the
   * worker's end of a channel to the audio thread of 'capture' or 'playout'.
   */
  constructor(script, told) {
    this.#script = script;
    this.#told = told;
  }

  /** The last node before the destination, or null. */
  get output() {
    return this.#speaker?.node ?? null;
  }

  /** Opens the speaker; an empty `id` is the system's own. */
  async openSpeaker(id = '') {
    this.#speakerId = id;
    if (!hasAudio()) return this.#told.state({ state: 'unsupported', ...SILENT });
    const speaker = { context: null, node: null };
    this.#speaker = speaker;
    try {
      const context = openContext();
      speaker.context = context;
      const report = () => this.#speaker === speaker && this.#told.state({
        state: context.state, sampleRate: context.sampleRate, baseLatencyMs: 1_000 * context.baseLatency,
        outputLatencyMs: 1_000 * (context.outputLatency ?? 0),
      });
      context.addEventListener('statechange', report);
      await context.audioWorklet.addModule(this.#script('playout-worklet.js'));
      if (this.#over) return undefined;
      if (id) await this.#choose(id);
      const node = new AudioWorkletNode(context, 'sidetone-playout', { numberOfInputs: 0, outputChannelCount: [1] });
      speaker.node = node;
      node.port.postMessage({ deafened: this.#deafened });
      node.connect(context.destination);
      this.#wire(node, 'playout');
      this.#fail('speaker', false);
      this.#told.log(...deviceOpened(id || 'default', 'speaker', context.sampleRate, 1, Math.round(context.sampleRate / 100)));
      report();
    } catch (error) {
      this.#speaker = null;
      speaker.context?.close().catch(() => {});
      this.#told.log(...deviceFailed(id || 'default', 'speaker', error));
      this.#told.state({ state: 'failed', ...SILENT });
      this.#fail('speaker', true);
    }
    return undefined;
  }

  /** Another speaker from now on (`label`: its name for the log); gives whether the browser can do that and did. */
  async setSpeaker(id, label = id || 'default') {
    if (!this.#speaker?.context) return false;
    if (!await this.#choose(id)) return false;
    this.#speakerId = id;
    const { sampleRate } = this.#speaker.context;
    this.#told.log(...deviceOpened(label, 'speaker', sampleRate, 1, Math.round(sampleRate / 100)));
    return true;
  }

  async #choose(id) {
    const { context } = this.#speaker;
    if (!context.setSinkId) return false;
    try {
      await context.setSinkId(id);
      return true;
    } catch (error) {
      this.#told.log(...deviceFailed(id || 'default', 'speaker', error));
      return false;
    }
  }

  /** Takes the sound of this track from now on, or none. The one before is heard until the new one is. */
  async setMicrophone(track) {
    const turn = (this.#turn += 1);
    if (!track) this.#useMicrophone(null);
    if (!track || this.#over || !hasAudio()) return;
    const { sampleRate, channelCount = 1 } = track.getSettings();
    const microphone = { context: null, node: null, track };
    try {
      const context = openContext(sampleRate);
      microphone.context = context;
      await context.audioWorklet.addModule(this.#script('capture-worklet.js'));
      if (turn !== this.#turn || this.#over) return closeMicrophone(microphone);
      microphone.node = new AudioWorkletNode(context, 'sidetone-capture', { numberOfOutputs: 0, channelCountMode: 'max' });
      microphone.source = context.createMediaStreamSource(new MediaStream([track]));
      microphone.source.connect(microphone.node);
      this.#useMicrophone(microphone);
      this.#wire(microphone.node, 'capture');
      this.#fail('microphone', false);
      this.#told.log(...deviceOpened(track.label || 'microphone', 'microphone', context.sampleRate, channelCount, Math.round(context.sampleRate / 50)));
    } catch (error) {
      closeMicrophone(microphone);
      this.#told.log(...deviceFailed(track.label || 'microphone', 'microphone', error));
      if (turn !== this.#turn) return undefined;
      // kept for another try, see `mend`
      this.#useMicrophone({ context: null, node: null, track });
      this.#fail('microphone', true);
    }
    return undefined;
  }

  #useMicrophone(microphone) {
    const before = this.#microphone;
    this.#microphone = microphone;
    closeMicrophone(before);
  }

  /** Silences the speaker; what is received is counted on. */
  setDeafened(deafened) {
    this.#deafened = deafened;
    this.#speaker?.node?.port.postMessage({ deafened });
  }

  /** Unlocks the sound, inside a click; gives whether it runs. */
  async resume() {
    const contexts = [this.#speaker?.context, this.#microphone?.context].filter(Boolean);
    const patience = new Promise((resolve) => setTimeout(resolve, RESUME_PATIENCE));
    await Promise.race([Promise.allSettled(contexts.map((context) => context.resume())), patience]);
    return this.#speaker?.context?.state === 'running';
  }

  /** The page is visible again: what another program interrupted goes on. */
  wake() {
    if (this.#speaker?.context?.state === 'interrupted') this.resume();
  }

  /** The server is back: an audio thread whose files did not come gets another chance. */
  mend() {
    if (this.#over) return;
    if (this.#failed.has('speaker')) this.openSpeaker(this.#speakerId);
    if (this.#failed.has('microphone') && this.#microphone) this.setMicrophone(this.#microphone.track);
  }

  /** There is a new worker: the audio threads that run get channels to it. */
  rewire() {
    if (this.#speaker?.node) this.#wire(this.#speaker.node, 'playout');
    if (this.#microphone?.node) this.#wire(this.#microphone.node, 'capture');
  }

  close() {
    this.#over = true;
    this.#useMicrophone(null);
    this.#speaker?.node?.port.postMessage({ end: true });
    this.#speaker?.node?.disconnect();
    this.#speaker?.context?.close().catch(() => {});
  }

  /** A channel of its own between the audio thread and the worker. */
  #wire(node, role) {
    const { port1, port2 } = new MessageChannel();
    node.port.postMessage({ port: port1 }, [port1]);
    this.#told.wire(role, port2);
    node.onprocessorerror = () => this.#told.log(...deviceFailed(role, role === 'capture' ? 'microphone' : 'speaker', 'the audio thread failed'));
  }

  #fail(device, on) {
    if (this.#failed.has(device) === on) return;
    if (on) this.#failed.add(device);
    else this.#failed.delete(device);
    this.#told.failed([...this.#failed]);
  }
}

function closeMicrophone(microphone) {
  microphone?.node?.port.postMessage({ end: true });
  microphone?.source?.disconnect();
  microphone?.context?.close().catch(() => {});
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

const deviceOpened = (device, kind, sample_rate, channels, period_samples) =>
  ['device.opened', { device, kind, sample_rate, channels, period_samples }];
const deviceFailed = (device, kind, error) =>
  ['device.failed', { device, kind, reason: error.name ? `${error.name}: ${error.message}` : error }];
