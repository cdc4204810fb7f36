// The worker behind a call: WebSocket, session, Opus. Sound goes over MessagePorts straight to and from the audio thread, so neither a
// busy page nor a background tab disturbs it.
//
//  capture-worklet --frames--> VoiceActivity -> AudioEncoder -> Outbox -> WebSocket -> Session -> AudioDecoder --samples--> playout-worklet
//                                                                            |
//                                                                            +-> events, pictures -> page (call.js)

import { VoiceActivity, level, rms } from './level.js';
import { Playout } from './playout.js';
import { Outbox, Session } from './session.js';
import { MAX_PICTURE, SILENCE, SUBPROTOCOL, encodeAudio, jpegSize, splitPicture } from './wire.js';

const FRAME = 960;
/** Frames between keep-alives of a silent microphone (400 ms). */
const KEEP_ALIVE_FRAMES = 20;
/** Frames between reports of the own level (100 ms). */
const LEVEL_FRAMES = 5;
/** How often the outbox is looked at while something waits, ms. */
const DRAIN = 10;
/** An audio thread that does not run cannot answer; then its last answer counts, ms. */
const STATS_PATIENCE = 300;
/** Codec failures in a row before it is given up. */
const MAX_FAILURES = 5;

const now = () => performance.now();
const tell = (event, detail, transfer = []) => postMessage({ event, detail }, transfer);
const log = (event, fields) => tell('log', { event, fields });

/** Sends what the microphone hears. */
class Sender {
  muted = false;
  keepAlivesSent = 0;
  packetsSent = 0;
  bytesSent = 0;
  /** As W3C counts a media source. */
  source = { audioLevel: 0, totalAudioEnergy: 0, samples: 0 };
  #send;
  #config = null;
  #encoder = null;
  #activity = new VoiceActivity();
  /** Frames in the encoder, oldest first. */
  #pending = [];
  #failures = 0;
  #timestamp = 0;
  #silentFrames = 0;
  #frames = 0;
  #wasActive = false;
  #sinceReport = 0;

  /** `send(level, opus, timestamp)` hands a packet on; an empty one is a keep-alive. */
  constructor(send) {
    this.#send = send;
  }

  /** Takes a frame of 960 samples. */
  take(samples) {
    this.#timestamp = (this.#timestamp + FRAME) >>> 0;
    const energy = rms(samples);
    this.source.audioLevel = energy;
    this.source.totalAudioEnergy += (energy * energy * FRAME) / 48_000;
    this.source.samples += FRAME;
    const loudness = level(samples);
    const active = this.#activity.isActive(samples);
    this.#report(active, loudness);
    if (active && !this.muted) {
      this.#silentFrames = 0;
      // a frame of speech is never marked as silence, however quiet it is
      this.#encode(samples, Math.min(loudness, SILENCE - 1));
      return;
    }
    this.#silentFrames += 1;
    if (this.#silentFrames % KEEP_ALIVE_FRAMES === 1) this.#hand(SILENCE, new Uint8Array(), this.#timestamp);
  }

  /**
   * Through a pause the encoder is neither flushed nor made anew: a flush would pad the last packet, and a new encoder would predict
   * from nothing while the decoders go on from the last packet. As it is, both ends stand still together, and go on together.
   */
  #encode(samples, loudness) {
    this.#encoder ??= this.#open();
    if (!this.#encoder || this.#encoder.state !== 'configured') return;
    // a clock of its own, without gaps, so that the encoder neither fills nor drops anything after a pause
    const timestamp = this.#frames * 20_000;
    const data = new AudioData({ format: 'f32-planar', sampleRate: 48_000, numberOfChannels: 1, numberOfFrames: FRAME, timestamp, data: samples });
    this.#frames += 1;
    this.#pending.push({ level: loudness, timestamp: this.#timestamp });
    this.#encoder.encode(data);
    data.close();
  }

  #open() {
    if (!this.#config || this.#failures > MAX_FAILURES) return null;
    const encoder = new AudioEncoder({
      output: (chunk) => {
        this.#failures = 0;
        const frame = this.#pending.shift();
        if (!frame) return;
        const opus = new Uint8Array(chunk.byteLength);
        chunk.copyTo(opus);
        this.#hand(frame.level, opus, frame.timestamp);
      },
      error: (error) => {
        this.#pending.length = 0;
        this.#encoder = null;
        this.#failures += 1;
        if (this.#failures > MAX_FAILURES) log('device.failed', { device: 'opus encoder', kind: 'microphone', reason: error.message });
      },
    });
    encoder.configure(this.#config);
    return encoder;
  }

  /** Finds out which options the browser's encoder takes. */
  async prepare() {
    const plain = { codec: 'opus', sampleRate: 48_000, numberOfChannels: 1, bitrate: 128_000 };
    const opus = { frameDuration: 20_000, complexity: 5, usedtx: false, useinbandfec: false };
    for (const config of [{ ...plain, opus: { ...opus, application: 'lowdelay' } }, { ...plain, opus }, plain]) {
      const { supported } = await AudioEncoder.isConfigSupported(config).catch(() => ({ supported: false }));
      if (supported) {
        this.#config = config;
        return;
      }
    }
    log('device.failed', { device: 'opus encoder', kind: 'microphone', reason: 'this browser cannot encode Opus' });
  }

  #hand(loudness, opus, timestamp) {
    if (this.#send(loudness, opus, timestamp)) {
      if (opus.length === 0) this.keepAlivesSent += 1;
      this.packetsSent += 1;
      this.bytesSent += 1 + opus.length;
    }
  }

  #report(active, loudness) {
    this.#sinceReport += 1;
    if (active === this.#wasActive && this.#sinceReport < LEVEL_FRAMES) return;
    this.#sinceReport = 0;
    this.#wasActive = active;
    tell('own-speaking', { active, level: loudness });
  }
}

/** Decodes what was received, in order of arrival, for the playout worklet. */
class Receiver {
  port = null;
  undecodable = 0;
  #decoder = null;
  /** Packets in the decoder, oldest first. */
  #pending = [];
  #packets = 0;
  #failures = 0;

  take({ sequence, timestamp, opus }) {
    if (!this.port) return;
    if (opus.length === 0) {
      this.port.postMessage({ sequence, timestamp, samples: null });
      return;
    }
    if (this.#failures > MAX_FAILURES) return;
    this.#decoder ??= this.#open();
    this.#pending.push({ sequence, timestamp });
    this.#decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: this.#packets * 20_000, duration: 20_000, data: opus }));
    this.#packets += 1;
  }

  /** The next packet belongs to another stream. */
  reset() {
    if (this.#decoder?.state === 'configured') this.#decoder.close();
    this.#decoder = null;
    this.#pending.length = 0;
  }

  #open() {
    const decoder = new AudioDecoder({
      output: (data) => {
        const packet = this.#pending.shift();
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
        data.close();
        this.#failures = 0;
        if (packet && this.#decoder === decoder) this.port?.postMessage({ ...packet, samples }, [samples.buffer]);
      },
      error: (error) => {
        // What was in it is lost; the worklet makes it up. The next packet gets a new decoder.
        this.undecodable += this.#pending.length;
        this.#pending.length = 0;
        this.#decoder = null;
        this.#failures += 1;
        if (this.#failures > MAX_FAILURES) log('device.failed', { device: 'opus decoder', kind: 'speaker', reason: error.message });
      },
    });
    decoder.configure({ codec: 'opus', sampleRate: 48_000, numberOfChannels: 1 });
    return decoder;
  }
}

/** Everything of one call. */
class Engine {
  #join;
  #session;
  #socket = null;
  #outbox = new Outbox();
  #sequence = 0;
  #picture = 0;
  #framesEncoded = 0;
  #picturesRefused = 0;
  #sent = { bytes: 0, packets: 0, video: 0 };
  #timer = null;
  #draining = null;
  #rating;
  #prepared = null;
  #microphone = false;
  /** What the playout worklet last said; without one there is nothing to count. */
  #playout = new Playout().stats();
  #playoutPort = null;
  #waitingForStats = [];
  #rates = { at: now(), audioSent: 0, audioReceived: 0, videoSent: 0, videoReceived: 0 };
  #bitrates = { audioSent: 0, audioReceived: 0, videoSent: 0, videoReceived: 0 };
  #sender = new Sender((loudness, opus, timestamp) => this.#sendAudio(loudness, opus, timestamp));
  #receiver = new Receiver();

  constructor(join) {
    this.#join = join;
    this.#sender.muted = join.muted;
    this.#session = new Session({ ...join, target: join.url });
    this.#rating = setInterval(() => this.#rate(), 1_000);
    this.#do(this.#session.start(now()));
  }

  handle(message) {
    const session = this.#session;
    switch (message.do) {
      case 'capture':
        return this.#capture(message.port);
      case 'playout':
        return this.#listen(message.port);
      case 'microphone':
        this.#microphone = message.on;
        return undefined;
      case 'mute':
        this.#sender.muted = message.muted;
        return this.#do(session.mute(message.muted));
      case 'say':
        return this.#do(session.say(message.text));
      case 'picture':
        return this.#sendPicture(message.jpeg);
      case 'wake':
        return this.#do(session.wake(now(), Math.random()));
      case 'stats':
        return this.#report(message.id);
      case 'leave':
        this.#do(session.leave());
        return tell('over');
      default:
        return undefined;
    }
  }

  #do(actions) {
    for (const action of actions) {
      if (action.do === 'send') this.#send(action.bytes);
      else if (action.do === 'audio') this.#receiver.take(action);
      else if (action.do === 'connect') this.#connect();
      else if (action.do === 'close') this.#close();
      else this.#event(action);
    }
    clearTimeout(this.#timer);
    if (this.#session.deadline < Infinity) {
      this.#timer = setTimeout(() => this.#do(this.#session.poll(now(), Math.random())), Math.max(0, this.#session.deadline - now()) + 1);
    }
    if (this.#session.state === 'over') clearInterval(this.#rating);
  }

  #event({ name, detail }) {
    if (name === 'welcome') {
      this.#receiver.reset();
      this.#playoutPort?.postMessage({ start: true });
    }
    if (name === 'log' && detail.event === 'client.disconnected') this.#playoutPort?.postMessage({ endStream: true });
    if (name === 'picture') tell(name, detail, [detail.jpeg.buffer]);
    else tell(name, detail);
  }

  #connect() {
    let socket;
    try {
      socket = new WebSocket(this.#join.url, SUBPROTOCOL);
    } catch (error) {
      // forbidden here, for instance ws: from a page of https:
      setTimeout(() => this.#do(this.#session.closed({ code: 1006, reason: error.message }, now(), Math.random())));
      return;
    }
    socket.binaryType = 'arraybuffer';
    const on = (type, act) => socket.addEventListener(type, (event) => this.#socket === socket && this.#do(act(event)));
    // what the policy forbids gives an error and no close
    on('error', () => {
      setTimeout(() => this.#socket === socket && this.#do(this.#session.closed({ code: 1006, reason: '' }, now(), Math.random())));
      return [];
    });
    on('open', () => this.#session.opened(now()));
    on('message', ({ data }) => this.#session.received(typeof data === 'string' ? null : new Uint8Array(data), now(), Math.random()));
    on('close', ({ code, reason }) => this.#session.closed({ code, reason }, now(), Math.random()));
    this.#socket = socket;
  }

  #close() {
    // The code that counts went ahead in a bye: a page may close with 1000 or codes of its own only.
    const socket = this.#socket;
    this.#socket = null;
    this.#outbox.clear();
    socket?.close(1000);
  }

  #send(bytes) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(bytes);
    this.#sent.bytes += bytes.length;
    this.#sent.packets += 1;
  }

  #drain() {
    clearTimeout(this.#draining);
    const left = this.#outbox.drain(() => this.#socket?.bufferedAmount ?? 0, (bytes) => this.#send(bytes));
    if (left) this.#draining = setTimeout(() => this.#drain(), DRAIN);
  }

  #sendAudio(loudness, opus, timestamp) {
    const { stream, state } = this.#session;
    if (state !== 'joined') return false;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#outbox.audio(encodeAudio({ stream, sequence: this.#sequence, timestamp }, loudness, opus));
    this.#drain();
    return true;
  }

  #sendPicture(jpeg) {
    const { stream, state } = this.#session;
    if (state !== 'joined') return;
    if (jpeg.length > MAX_PICTURE || !jpegSize(jpeg)) {
      this.#picturesRefused += 1;
      return;
    }
    const frames = splitPicture(jpeg, this.#picture, stream, Math.round(now() * 48) >>> 0);
    this.#picture = (this.#picture + 1) >>> 0;
    this.#framesEncoded += 1;
    this.#sent.video += jpeg.length;
    this.#outbox.picture(frames, this.#socket?.bufferedAmount ?? 0);
    this.#drain();
  }

  #capture(port) {
    this.#prepared ??= this.#sender.prepare();
    port.onmessage = ({ data }) => this.#sender.take(data);
  }

  #listen(port) {
    this.#receiver.port = port;
    this.#playoutPort = port;
    if (this.#session.welcome) port.postMessage({ start: true });
    port.onmessage = ({ data }) => {
      if (data.log) log(data.log.event, data.log.fields);
      if (!data.stats) return;
      this.#playout = data.stats;
      for (const ready of this.#waitingForStats.splice(0)) ready();
    };
  }

  /** Bits a second over the last second. */
  #rate() {
    const received = this.#session.counters.audioBytesReceived;
    const pictures = [...this.#session.pictures.values()].reduce((sum, p) => sum + p.bytes, 0);
    const total = { audioSent: this.#sender.bytesSent, audioReceived: received, videoSent: this.#sent.video, videoReceived: pictures };
    const seconds = (now() - this.#rates.at) / 1_000;
    for (const key of Object.keys(total)) this.#bitrates[key] = Math.round((8 * (total[key] - this.#rates[key])) / seconds);
    this.#rates = { at: now(), ...total };
  }

  async #report(id) {
    if (this.#playoutPort) {
      await new Promise((resolve) => {
        this.#waitingForStats.push(resolve);
        setTimeout(resolve, STATS_PATIENCE);
        this.#playoutPort.postMessage({ stats: true });
      });
    }
    postMessage({ event: 'stats', id, detail: this.#stats() });
  }

  /** The shape of src/client/stats.rs: seconds, bytes, names of webrtc-stats; what that has no name for is under `sidetone`. */
  #stats() {
    const { counters, pictures, welcome } = this.#session;
    const { counts } = this.#outbox;
    const { underruns, callbacks, callbacksTookMs, ...inbound } = this.#playout;
    const transport = { transportId: 'transport' };
    const codec = welcome && {
      id: 'codec', type: 'codec', mimeType: `audio/${welcome.audio.codec}`, clockRate: welcome.audio.clock_rate, channels: welcome.audio.channels,
      sdpFmtpLine: `maxaveragebitrate=${welcome.audio.bitrate};usedtx=0`,
    };
    const { samples, ...source } = this.#sender.source;
    const microphone = (this.#microphone || samples > 0) && {
      id: 'microphone', type: 'media-source', kind: 'audio', ...source, totalSamplesDuration: samples / 48_000,
    };
    const video = [...pictures].map(([name, { received, undecodable, bytes }]) => ({
      id: `inbound-video-${name}`, type: 'inbound-rtp', kind: 'video', ...transport, trackIdentifier: name,
      framesReceived: received + undecodable, framesDecoded: received, bytesReceived: bytes,
    }));
    const seconds = callbacksTookMs / 1_000;
    return {
      timestamp: new Date().toISOString(),
      stats: [
        {
          ...inbound, id: 'inbound-audio', type: 'inbound-rtp', kind: 'audio', codecId: 'codec', ...transport,
          bytesReceived: counters.audioBytesReceived,
        },
        {
          id: 'outbound-audio', type: 'outbound-rtp', kind: 'audio', codecId: 'codec', ...transport, packetsSent: counts.audioSent,
          bytesSent: this.#sender.bytesSent,
        },
        {
          id: 'outbound-video', type: 'outbound-rtp', kind: 'video', ...transport, framesSent: counts.picturesSent,
          framesEncoded: this.#framesEncoded,
        },
        {
          id: 'transport', type: 'transport', bytesSent: this.#sent.bytes, bytesReceived: counters.bytesReceived,
          packetsSent: this.#sent.packets, packetsReceived: counters.packetsReceived, currentRoundTripTime: counters.roundTrip / 1_000,
        },
        ...(codec ? [codec] : []), ...(microphone ? [microphone] : []), ...video,
      ],
      sidetone: {
        name: this.#join.name, target: this.#join.url, connections: counters.connections, soundReceived: counters.packetsWithSound > 0,
        audioPacketsDropped: counts.audioDropped, keepAlivesSent: this.#sender.keepAlivesSent, picturesDropped: counts.picturesDropped,
        picturesRefused: this.#picturesRefused, packetsUndecodable: this.#receiver.undecodable, underruns,
        callbacks: { count: callbacks, seconds, perSecond: seconds > 0 ? callbacks / seconds : 0, rendered: callbacks },
        bitrates: this.#bitrates,
      },
    };
  }
}

const VIOLATION = ['documentURI', 'blockedURI', 'violatedDirective', 'effectiveDirective', 'originalPolicy', 'disposition', 'statusCode'];
addEventListener('securitypolicyviolation', (event) => tell('violation', Object.fromEntries(VIOLATION.map((field) => [field, event[field]]))));

let engine = null;
onmessage = ({ data }) => {
  if (data.do === 'join') engine = new Engine(data);
  else engine?.handle(data);
};
