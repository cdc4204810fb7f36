// The session of a client as a state machine: what came and the time in, what to do out, as src/client/{mod,link,session}.rs and
// src/session do it. PURE: `now` in milliseconds of a monotonic clock and `chance` (an even random number in 0..1) are arguments.
//
//          start            opened           welcome
//  idle ----------> connecting -----> greeting -----> joined
//                     ^   |              |  |           |
//                     |   +--- lost -----+--|-----------+
//                     |          v          +-- refused --> over <-- leave (from everywhere)
//                     +------ waiting
//               delay over, wake

import { Backoff, HEARTBEAT, Heartbeat } from './patience.js';
import {
  AUDIO, Assembler, CLOSE, MAX_CHAT, SILENCE, VERSION, WireError, decodeAudio, decodeFrame, decodeMessage, decodeVideo, encodeMessage,
  encodePong, jpegSize,
} from './wire.js';

/** Patience for the connection, and for the answer to the hello, ms. */
const STEP = 5_000;

/** A server that is full or going down may take us later; after a lost connection our own old session may still hold the name. */
const mayTryAgain = (wasIn, code) => code === 'shutting_down' || (wasIn && (code === 'server_full' || code === 'name_taken'));

/** As many characters of a chat line as fit. */
function cutChat(text) {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(MAX_CHAT));
  return text.slice(0, read);
}

/**
 * One participant's session through all its connections. Every method gives a list of actions in order:
 * `{do: 'connect'}` open a new WebSocket; `{do: 'send', bytes}`; `{do: 'close', code, reason}` end the connection, whose events are no
 * longer wanted; `{do: 'audio', sequence, timestamp, level, opus}` play; `{do: 'event', name, detail}` tell the page, `log` included.
 */
export class Session {
  state = 'idle';
  /** Own stream, 0 while there is none. */
  stream = 0;
  /** When `poll` must be called at the latest, ms. */
  deadline = Infinity;
  /** The last welcome. */
  welcome = null;
  counters = { packetsReceived: 0, bytesReceived: 0, audioBytesReceived: 0, packetsWithSound: 0, connections: 0, roundTrip: 0 };
  /** By sender's name: `received`, `undecodable`, `bytes`. */
  pictures = new Map();
  #config;
  #backoff = new Backoff();
  #heartbeat = null;
  #others = new Map();
  #wasIn = false;
  #muted = false;
  #started = 0;
  #connecting = 0;
  #bye = null;

  /** `target`: URL for logs; `address`: what is known of its address, `IP:PORT`. */
  constructor({ name, room, agent, target, address, muted = false }) {
    this.#config = { name, room, agent, target, address };
    this.#muted = muted;
  }

  start(now) {
    this.#started = now;
    return this.#connect(now);
  }

  /** The WebSocket is open. */
  opened(now) {
    if (this.state !== 'connecting') return [];
    const { name, room, agent, target, address } = this.#config;
    this.state = 'greeting';
    this.deadline = now + STEP;
    const hello = { version_min: VERSION, version_max: VERSION, name, room, capabilities: ['audio', 'picture', 'chat'], agent, audio: AUDIO };
    const took_us = Math.round((now - this.#connecting) * 1_000);
    return [
      log('client.connected', { target, address, local: '0.0.0.0:0', transport: 'websocket', took_us }),
      { do: 'send', bytes: encodeMessage('hello', hello) },
    ];
  }

  /** A message came: bytes, or null for a text message. */
  received(message, now, chance) {
    if (this.state !== 'greeting' && this.state !== 'joined') return [];
    try {
      if (message === null) throw new WireError('NotAFrame', 'a text message: this is not a Sidetone frame');
      this.counters.packetsReceived += 1;
      this.counters.bytesReceived += message.length;
      this.#heartbeat?.received(now);
      const frame = decodeFrame(message);
      return this.state === 'greeting' ? this.#greeted(frame, now, chance) : this.#take(frame, now);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return [this.#goodbye(error.closeCode, error.message), ...this.#lost(error.message, error.closeCode, now, chance)];
    }
  }

  /** The connection is gone; `code` 1005 and 1006 mean that nobody said why. */
  closed({ code, reason }, now, chance) {
    if (this.state === 'waiting' || this.state === 'over' || this.state === 'idle') return [];
    const said = this.#bye ?? { code: code === 1005 || code === 1006 ? null : code, reason };
    const silent = this.state === 'connecting' ? `${this.#config.target}: the WebSocket did not open` : 'the connection is gone';
    return this.#lost(said.reason || (said.code === null ? silent : 'closed by the server'), said.code, now, chance);
  }

  /** The deadline is over. */
  poll(now, chance) {
    if (now < this.deadline) return [];
    if (this.state === 'waiting') return this.#connect(now);
    if (this.state === 'connecting' || this.state === 'greeting') {
      const what = this.state === 'connecting' ? 'the WebSocket did not open' : 'no answer to the hello';
      return this.#lost(`${this.#config.target}: ${what} within 5 s`, null, now, chance);
    }
    if (this.state !== 'joined') return [];
    const beat = this.#heartbeat.poll(now);
    if (beat.gone !== undefined) {
      const reason = `nothing received from the server for ${Math.round(beat.gone / 1_000)} s`;
      return this.#lost(reason, CLOSE.policyViolation, now, chance);
    }
    this.deadline = beat.wait ?? now;
    return beat.ping ? [this.#tell('ping', { nonce: Math.round(now * 1_000) }), ...this.poll(now, chance)] : [];
  }

  /** The network came back or the page is visible again. */
  wake(now, chance) {
    if (this.state === 'waiting') return this.#connect(now);
    if (this.state !== 'joined') return [];
    this.#heartbeat.hurry(now);
    this.deadline = now;
    return this.poll(now, chance);
  }

  /** Says a line; without a connection nobody hears it. */
  say(text) {
    const line = cutChat(text);
    return this.state === 'joined' && line !== '' ? [this.#tell('chat', { text: line })] : [];
  }

  /** Who mutes without a connection is mute in the next one. */
  mute(muted) {
    if (muted === this.#muted) return [];
    this.#muted = muted;
    return [log('client.muted', { muted }), ...(this.state === 'joined' ? [this.#tell('mute', { muted })] : [])];
  }

  leave() {
    if (this.state === 'over') return [];
    const connected = this.state === 'greeting' || this.state === 'joined';
    const actions = [...(connected ? [this.#goodbye(CLOSE.normal, 'left')] : []), { do: 'close', code: CLOSE.normal, reason: 'left' }];
    return [...actions, this.#end('ended', { reason: 'left', code: CLOSE.normal })];
  }

  #connect(now) {
    const { target, address } = this.#config;
    const attempt = this.#backoff.attempt + 1;
    [this.state, this.deadline, this.#connecting, this.#bye] = ['connecting', now + STEP, now, null];
    const state = attempt === 1 && !this.#wasIn ? 'connecting' : 'reconnecting';
    return [log('client.connecting', { target, address, attempt }), event('state', { state, attempt, retryInMs: 0 }), { do: 'connect' }];
  }

  #greeted(frame, now, chance) {
    const message = decodeMessage(frame);
    if (frame.kind === 'welcome') return this.#join(message, now);
    if (frame.kind !== 'refusal') {
      return this.#lost(`${this.#config.target} answered the hello with kind ${frame.kind}`, CLOSE.policyViolation, now, chance);
    }
    const { code, message: reason } = message;
    const refused = log('client.refused', { code, reason });
    const close = { do: 'close', code: CLOSE.normal, reason: 'refused' };
    if (mayTryAgain(this.#wasIn, code)) return [refused, close, ...this.#wait(reason, code, now, chance)];
    return [refused, close, this.#end('refused', { reason, code })];
  }

  #join(welcome, now) {
    [this.state, this.welcome, this.stream, this.#wasIn] = ['joined', welcome, welcome.stream, true];
    this.#others = new Map(welcome.participants.map((p) => [p.stream, { name: p.name, assembler: new Assembler() }]));
    this.#backoff.reset();
    this.#heartbeat = new Heartbeat(now);
    this.deadline = now + HEARTBEAT;
    this.counters.connections += 1;
    const { server, room, stream, participants, audio } = welcome;
    const fields = { server, room, name: this.#config.name, stream, participants: participants.map((p) => p.name), ...audio };
    const muted = this.#muted ? [this.#tell('mute', { muted: true })] : [];
    return [log('client.joined', fields), event('welcome', welcome), event('state', { state: 'joined' }), ...muted];
  }

  #take(frame, now) {
    if (frame.kind === 'audio') return this.#sound(frame, now);
    if (frame.kind === 'video') return this.#chunk(frame, now);
    const message = decodeMessage(frame);
    switch (frame.kind) {
      case 'ping':
        return [{ do: 'send', bytes: encodePong(frame, this.stream) }];
      case 'pong':
        this.counters.roundTrip = Math.max(0, now - message.nonce / 1_000);
        return [];
      case 'joined': {
        const { stream, name } = message.participant;
        this.#others.set(stream, { name, assembler: new Assembler() });
        return [log('client.participant_joined', { stream, name }), event('participant-joined', message.participant)];
      }
      case 'left':
        this.#others.delete(message.stream);
        return [log('client.participant_left', message), event('participant-left', { ...message, reason: '' })];
      case 'chat':
        return [log('client.chat', message), event('chat', message)];
      case 'mute': {
        const { stream, muted } = message;
        const name = this.#others.get(stream)?.name;
        const told = name === undefined ? [] : [log('client.participant_muted', { stream, name, muted })];
        return [...told, event('mute', message)];
      }
      case 'speaking':
        return [event('speaking', message)];
      case 'bye':
        this.#bye = message;
        return [];
      case 'hello':
      case 'welcome':
      case 'refusal':
        throw new WireError('NotAllowed', `kind ${frame.kind} is not allowed from a server after its welcome`);
      default:
        return [];
    }
  }

  #sound({ sequence, timestamp, payload }, now) {
    const { level, opus } = decodeAudio(payload);
    const { counters } = this;
    counters.audioBytesReceived += payload.length;
    const actions = [{ do: 'audio', sequence, timestamp, level, opus }];
    if (level === SILENCE) return actions;
    counters.packetsWithSound += 1;
    const after_ms = Math.round(now - this.#started);
    return counters.packetsWithSound === 1 ? [log('client.first_audio', { after_ms, level }), ...actions] : actions;
  }

  #chunk({ stream, payload }, now) {
    const chunk = decodeVideo(payload);
    const other = this.#others.get(stream);
    const jpeg = other?.assembler.push(chunk);
    if (!jpeg) return [];
    const seen = this.pictures.get(other.name) ?? { received: 0, undecodable: 0, bytes: 0 };
    this.pictures.set(other.name, seen);
    seen.bytes += jpeg.length;
    const size = jpegSize(jpeg);
    if (!size) {
      seen.undecodable += 1;
      return [];
    }
    seen.received += 1;
    const picture = event('picture', { stream, jpeg });
    const after_ms = Math.round(now - this.#started);
    return seen.received === 1 ? [log('client.first_picture', { stream, name: other.name, ...size, after_ms }), picture] : [picture];
  }

  #tell(kind, message) {
    return { do: 'send', bytes: encodeMessage(kind, message, { stream: this.stream }) };
  }

  /** A WebSocket of a browser closes with 1000 or its own codes only, so the real code goes ahead in a bye. */
  #goodbye(code, reason) {
    return this.#tell('bye', { code, reason });
  }

  #lost(reason, code, now, chance) {
    const { target } = this.#config;
    const stage = this.state === 'greeting' ? 'hello' : 'upgrade';
    const what =
      this.state === 'joined'
        ? log('client.disconnected', { close_code: code, reason })
        : log('client.connect_failed', { target, address: null, stage, errno: null, reason });
    return [{ do: 'close', code: code ?? CLOSE.normal, reason }, what, ...this.#wait(reason, code, now, chance)];
  }

  #wait(reason, code, now, chance) {
    const delay = this.#backoff.next(chance);
    const attempt = this.#backoff.attempt + 1;
    [this.state, this.stream, this.deadline] = ['waiting', 0, now + delay];
    this.#others.clear();
    const retryInMs = Math.round(delay);
    return [log('client.reconnecting', { attempt, delay_ms: retryInMs }), event('state', { state: 'reconnecting', reason, code, retryInMs, attempt })];
  }

  #end(state, detail) {
    [this.state, this.stream, this.deadline] = ['over', 0, Infinity];
    return event('state', { state, ...detail });
  }
}

const event = (name, detail) => ({ do: 'event', name, detail });
const log = (name, fields) => event('log', { event: name, fields });
