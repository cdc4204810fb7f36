// The wire: bytes to messages and back, as `src/protocol` does it. PURE. The layout is drawn in src/protocol/mod.rs; both sides are
// held to fixtures/wire/*.json.

import { SILENCE } from './level.js';

export { SILENCE };

/** The only version of the protocol. */
export const VERSION = 1;
/** Named in `Sec-WebSocket-Protocol`. */
export const SUBPROTOCOL = 'sidetone.v1';
/** Bytes of a header. */
const HEADER_LENGTH = 16;
/** The longest chat line in bytes. */
export const MAX_CHAT = 4096;
/** The longest name in characters. */
export const MAX_NAME = 32;
/** Largest picture in bytes. */
export const MAX_PICTURE = 65536;
/** Largest picture in pixels. */
export const [MAX_WIDTH, MAX_HEIGHT] = [320, 240];

/** Close codes (RFC 6455, section 7.4.1). */
export const CLOSE = { normal: 1000, goingAway: 1001, protocolError: 1002, unsupportedData: 1003, policyViolation: 1008, tooBig: 1009, tryAgainLater: 1013 };

const MAGIC = 0xd7;
const CHUNK_DATA = 8192;
const CHUNK_HEADER = 8;
const MAX_CHUNKS = 64;

/** Bytes of the kinds by name. */
export const KINDS = {
  hello: 0x01, welcome: 0x02, refusal: 0x03, ping: 0x04, pong: 0x05, joined: 0x06, left: 0x07, chat: 0x08, mute: 0x09, bye: 0x0a,
  speaking: 0x0b, audio: 0x10, video: 0x20,
};
const NAMES = new Map(Object.entries(KINDS).map(([name, code]) => [code, name]));

/** What a peer got wrong. `wire` is NotAFrame, TooBig, NotOneFrame, Payload or NotAllowed; `closeCode` answers it. */
export class WireError extends Error {
  constructor(wire, message) {
    super(message);
    this.name = 'WireError';
    this.wire = wire;
    this.closeCode = wire === 'TooBig' ? CLOSE.tooBig : CLOSE.protocolError;
  }
}

const hex = (byte) => `0x${byte.toString(16).padStart(2, '0')}`;
const payloadError = (kind, reason) => new WireError('Payload', `invalid payload of kind ${hex(KINDS[kind])}: ${reason}`);

const limit = (kind) => (kind === 'audio' ? 1500 : kind === 'video' ? 16384 : 65536);

/**
 * Reads a WebSocket message, which must be exactly one frame. `kind` is `unknown` for a kind of a later version.
 * @param {Uint8Array} message
 * @returns {{kind: string, code: number, stream: number, sequence: number, timestamp: number, payload: Uint8Array}}
 */
export function decodeFrame(message) {
  const found = message.length;
  if (found > 0 && message[0] !== MAGIC) {
    throw new WireError('NotAFrame', `first byte is ${hex(message[0])}, not ${hex(MAGIC)}: this is not a Sidetone frame`);
  }
  const notOne = (expected) =>
    new WireError('NotOneFrame', `message of ${found} bytes holds a frame of ${expected} bytes; one message is one frame`);
  if (found < HEADER_LENGTH) throw notOne(HEADER_LENGTH);
  const view = new DataView(message.buffer, message.byteOffset, found);
  const code = view.getUint8(1);
  const kind = NAMES.get(code) ?? 'unknown';
  const length = view.getUint32(12);
  if (length > limit(kind)) throw new WireError('TooBig', `payload of ${length} bytes for kind ${hex(code)}, limit ${limit(kind)}`);
  if (found !== HEADER_LENGTH + length) throw notOne(HEADER_LENGTH + length);
  const payload = message.subarray(HEADER_LENGTH);
  return { kind, code, stream: view.getUint16(4), sequence: view.getUint16(6), timestamp: view.getUint32(8), payload };
}

/** Header and payload parts as bytes for the wire. */
export function encodeFrame(code, { stream = 0, sequence = 0, timestamp = 0 }, ...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const out = new Uint8Array(HEADER_LENGTH + length);
  const view = new DataView(out.buffer);
  view.setUint8(0, MAGIC);
  view.setUint8(1, code);
  view.setUint16(4, stream);
  view.setUint16(6, sequence);
  view.setUint32(8, timestamp);
  view.setUint32(12, length);
  let at = HEADER_LENGTH;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

// Shapes of control payloads: a reader takes a JSON value to what the message holds, or throws a string.
const unsigned = (most) => (value) => {
  if (!Number.isInteger(value) || value < 0 || value > most) throw `expected an integer up to ${most}`;
  return value;
};
const [u8, u16, u32, u64] = [8, 16, 32, 64].map((bits) => unsigned(2 ** bits - 1));
const text = (value) => {
  if (typeof value !== 'string' || value.isWellFormed?.() === false) throw 'expected a string';
  return value;
};
const flag = (value) => {
  if (typeof value !== 'boolean') throw 'expected true or false';
  return value;
};
const word = (...known) => (value) => (known.includes(text(value)) ? value : 'unknown');
const list = (item) => (value) => {
  if (!Array.isArray(value)) throw 'expected a list';
  return value.map(item);
};
const object = (fields) => (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw 'expected an object';
  const out = {};
  for (const [name, [read, byDefault]] of Object.entries(fields)) {
    if (Object.hasOwn(value, name)) out[name] = read(value[name]);
    else if (byDefault === undefined) throw `missing field \`${name}\``;
    else out[name] = byDefault();
    if (out[name] === undefined) delete out[name];
  }
  return out;
};
const is = (read, byDefault) => [read, byDefault === undefined ? undefined : () => byDefault];
// left out where it is not told
const maybe = (read) => [(value) => (value === null ? undefined : read(value)), () => undefined];

/** The sound that every client offers. */
export const AUDIO = Object.freeze({ codec: 'opus', clock_rate: 48000, channels: 1, frame_ms: 20, bitrate: 128000 });
const audioParameters = object({ codec: is(text), clock_rate: is(u32), channels: is(u8), frame_ms: is(u8), bitrate: is(u32) });
const capabilities = list(word('audio', 'picture', 'chat', 'echo'));
const participant = object({ stream: is(u16), name: is(text), muted: is(flag, false) });
const refusalCode = word('version_unsupported', 'name_invalid', 'name_taken', 'room_invalid', 'server_full', 'audio_unsupported', 'shutting_down');
// The code is sent back as that of a close frame, where RFC 6455 (section 7.4) reserves some.
const closeCode = (value) => {
  const code = u16(value);
  if (!((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999))) throw `${code} is no close code`;
  return code;
};

const SHAPES = {
  hello: object({
    version_min: is(u16), version_max: is(u16), name: is(text), room: is(text), capabilities: is(capabilities), agent: is(text, ''),
    audio: [audioParameters, () => ({ ...AUDIO })],
  }),
  welcome: object({
    version: is(u16), stream: is(u16), server: is(text), agent: is(text), room: is(text), participants: is(list(participant)),
    capabilities: is(capabilities), audio: is(audioParameters), heartbeat_ms: is(u32), timeout_ms: is(u32),
  }),
  refusal: object({
    code: is(refusalCode), message: is(text), agent: maybe(text), version_min: maybe(u16), version_max: maybe(u16),
    capabilities: maybe(capabilities),
  }),
  ping: object({ nonce: is(u64) }),
  pong: object({ nonce: is(u64) }),
  joined: object({ participant: is(participant) }),
  left: object({ stream: is(u16), name: is(text) }),
  chat: object({ from: is(text, ''), text: is(text) }),
  mute: object({ stream: is(u16, 0), muted: is(flag) }),
  bye: object({ code: is(closeCode), reason: is(text) }),
  speaking: object({ streams: is(list(u16)) }),
};

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The message of a control frame, with fields in the order of the wire; null for sound, pictures and unknown kinds. */
export function decodeMessage({ kind, payload }) {
  const shape = SHAPES[kind];
  if (!shape) return null;
  try {
    return shape(JSON.parse(fromUtf8.decode(payload)));
  } catch (error) {
    throw payloadError(kind, typeof error === 'string' ? error : error.message);
  }
}

/** A control frame; fields that the kind does not have are left out. */
export function encodeMessage(kind, message, { stream = 0, sequence = 0 } = {}) {
  return encodeFrame(KINDS[kind], { stream, sequence }, utf8.encode(JSON.stringify(SHAPES[kind](message))));
}

/** The pong with the same payload: a nonce may be beyond what a JavaScript number holds. */
export function encodePong(ping, stream) {
  return encodeFrame(KINDS.pong, { stream }, ping.payload);
}

/** A sound payload: level (0..=127, -dBov) and Opus packet, which is empty only at level 127. */
export function decodeAudio(payload) {
  if (payload.length === 0) throw payloadError('audio', 'empty');
  const level = payload[0];
  if (level > SILENCE) throw payloadError('audio', 'level above 127');
  if (payload.length === 1 && level !== SILENCE) throw payloadError('audio', 'no Opus packet at a level below 127');
  return { level, opus: payload.subarray(1) };
}

/** A sound frame; without `opus` it is a keep-alive. */
export function encodeAudio(header, level = SILENCE, opus = new Uint8Array()) {
  return encodeFrame(KINDS.audio, header, Uint8Array.of(level), opus);
}

/** A chunk of a picture: `picture`, `index`, `count`, `data`. */
export function decodeVideo(payload) {
  if (payload.length <= CHUNK_HEADER) throw payloadError('video', 'no picture data');
  const view = new DataView(payload.buffer, payload.byteOffset);
  const [picture, index, count] = [view.getUint32(0), view.getUint16(4), view.getUint16(6)];
  if (count > MAX_CHUNKS || index >= count) throw payloadError('video', 'chunk index or count out of range');
  return { picture, index, count, data: payload.subarray(CHUNK_HEADER) };
}

/** A frame with one chunk. */
export function encodeVideo(header, { picture, index, count, data }) {
  const head = new Uint8Array(CHUNK_HEADER);
  const view = new DataView(head.buffer);
  view.setUint32(0, picture);
  view.setUint16(4, index);
  view.setUint16(6, count);
  return encodeFrame(KINDS.video, header, head, data);
}

/** Cuts a JPEG of 1 to 65,536 bytes into frames of 8 KiB chunks. */
export function splitPicture(jpeg, picture, stream, timestamp) {
  const count = Math.ceil(jpeg.length / CHUNK_DATA);
  return Array.from({ length: count }, (_, index) => {
    const data = jpeg.subarray(index * CHUNK_DATA, (index + 1) * CHUNK_DATA);
    return encodeVideo({ stream, sequence: index, timestamp }, { picture, index, count, data });
  });
}

/** Puts the chunks of one stream together again; a picture with a missing chunk is given up. */
export class Assembler {
  #picture = 0;
  #next = Infinity;
  #parts = [];
  #length = 0;

  /** Takes the next chunk; gives the whole JPEG after its last one, else null. */
  push({ picture, index, count, data }) {
    if (index === 0) [this.#picture, this.#next, this.#parts, this.#length] = [picture, 0, [], 0];
    if (picture !== this.#picture || index !== this.#next) {
      this.#next = Infinity;
      return null;
    }
    this.#length += data.length;
    if (this.#length > MAX_PICTURE) throw payloadError('video', 'picture above 64 KiB');
    this.#parts.push(data);
    this.#next += 1;
    if (this.#next !== count) return null;
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    [this.#next, this.#parts] = [Infinity, []];
    return whole;
  }
}

/**
 * Width and height of a JPEG by its frame header (ITU-T T.81, B.2.2), or null if it is none or above 320x240: what passes is no
 * bomb for a decoder. A second frame header must say the same.
 */
export function jpegSize(bytes) {
  if (bytes.length < 4 || bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return null;
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at += 1; // fill byte
      continue;
    }
    // a picture has its frame header before its scan, and no marker without a length before that
    if (marker === 0xd9 || marker === 0xda || marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd8)) return null;
    const length = (bytes[at + 2] << 8) | bytes[at + 3];
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      if (length < 11 || at + 2 + length > bytes.length) return null;
      const height = (bytes[at + 5] << 8) | bytes[at + 6];
      const width = (bytes[at + 7] << 8) | bytes[at + 8];
      const fits = width > 0 && height > 0 && width <= MAX_WIDTH && height <= MAX_HEIGHT;
      return fits && !hasSecondFrame(bytes, at + 2 + length) ? { width, height } : null;
    }
    if (length < 2) return null;
    at += 2 + length;
  }
  return null;
}

/** In scan data 0xff is followed by 0 or a restart marker, so a frame header there is a second one: an upload trick. */
function hasSecondFrame(bytes, from) {
  for (let at = bytes.indexOf(0xff, from); at >= 0 && at + 1 < bytes.length; at = bytes.indexOf(0xff, at + 1)) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) return true;
  }
  return false;
}

/** Control characters and the invisible ones that reorder or hide text. */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u;

/** What is wrong with a name of a participant or a room, as a sentence; null if nothing is. */
export function checkName(name) {
  const length = [...name].length;
  if (length === 0 || length > MAX_NAME) return `a name has 1 to ${MAX_NAME} characters, this one has ${length}`;
  if (UNPRINTABLE.test(name) || name.isWellFormed?.() === false) return `a name has no control characters: ${JSON.stringify(name)}`;
  if (name.trim() !== name) return `a name does not begin or end with white space: ${JSON.stringify(name)}`;
  return null;
}
