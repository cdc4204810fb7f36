// The worker behind a call: WebSocket, session, Opus. Sound goes over MessagePorts straight to and from the audio thread, so neither a
// busy page nor a background tab disturbs it.
//
//  capture-worklet --frames--> VoiceActivity -> AudioEncoder -> Outbox -> WebSocket -> Session -> AudioDecoder --samples--> playout-worklet
//                                                                            |
//                                                                            +-> events, pictures -> page (call.js)

import { Outbox } from './outbox.js';
import { Playout } from './playout.js';
import { Receiver } from './receiver.js';
import { Sender } from './sender.js';
import { Session } from './session.js';
import { MAX_PICTURE, SUBPROTOCOL, encodeAudio, jpegSize, splitPicture } from './wire.js';

/** How often the outbox is looked at while something waits, ms. */
const DRAIN = 10;
/** An audio thread that does not run cannot answer; then its last answer counts, ms. */
const STATS_PATIENCE = 300;

const now = () => performance.now();
const tell = (event, detail, transfer = []) => postMessage({ event, detail }, transfer);
const log = (event, fields) => tell('log', { event, fields });

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
  #capturePort = null;
  #waitingForStats = [];
  #rates = { at: now(), audioSent: 0, audioReceived: 0, videoSent: 0, videoReceived: 0 };
  #bitrates = { audioSent: 0, audioReceived: 0, videoSent: 0, videoReceived: 0 };
  #sender = new Sender({ send: (loudness, opus, timestamp) => this.#sendAudio(loudness, opus, timestamp), tell });
  #receiver = new Receiver({ log });

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
    if (this.#session.state === 'over') {
      clearInterval(this.#rating);
      this.#playoutPort?.postMessage({ start: false });
    }
  }

  #event({ name, detail }) {
    if (name === 'welcome') {
      this.#receiver.reset();
      this.#playoutPort?.postMessage({ start: true });
    }
    if (name === 'log' && detail.event === 'client.disconnected') this.#receiver.end();
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
    // of two microphones the newer one is sent, from its first frame on
    this.#capturePort?.close();
    this.#capturePort = port;
    port.onmessage = ({ data }) => this.#sender.take(data);
  }

  #listen(port) {
    this.#receiver.port = port;
    this.#playoutPort = port;
    if (this.#session.welcome) port.postMessage({ start: true });
    const session = this.#session;
    port.onmessage = ({ data }) => {
      // who left expects no sound any more
      if (data.log && session.state !== 'over') log(data.log.event, data.log.fields);
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
