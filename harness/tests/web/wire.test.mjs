// Tests of the page's own modules. Run: node --test harness/tests/web/*.test.mjs   (node 20.19 or later; no packages)

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as wire from '../../../src/web/wire.js';
import { random } from './support.mjs';

const golden = (name) => JSON.parse(readFileSync(new URL(`../../../fixtures/wire/${name}.json`, import.meta.url)));
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (data) => Buffer.from(data).toString('hex');

function read(data) {
  const frame = wire.decodeFrame(data);
  if (frame.kind === 'audio') return { frame, audio: wire.decodeAudio(frame.payload) };
  if (frame.kind === 'video') return { frame, video: wire.decodeVideo(frame.payload) };
  return { frame, message: wire.decodeMessage(frame) };
}

function write(vector) {
  const { stream, sequence, timestamp } = vector;
  const header = { stream, sequence, timestamp };
  if (vector.audio) return wire.encodeAudio(header, vector.audio.level, bytes(vector.audio.opus));
  if (vector.video) return wire.encodeVideo(header, { ...vector.video, data: bytes(vector.video.data) });
  if (vector.message) return wire.encodeMessage(vector.kind, vector.message, header);
  return wire.encodeFrame(vector.code, header, bytes(vector.payload));
}

test('golden frames are read and written byte for byte', () => {
  const vectors = golden('frames');
  assert.ok(vectors.length > 20);
  for (const vector of vectors) {
    const { frame, message, audio, video } = read(bytes(vector.hex));
    for (const field of ['kind', 'code', 'stream', 'sequence', 'timestamp']) assert.equal(frame[field], vector[field], `${vector.name}: ${field}`);
    if (vector.message) assert.deepEqual(message, vector.message, vector.name);
    if (vector.audio) assert.deepEqual({ level: audio.level, opus: hex(audio.opus) }, vector.audio, vector.name);
    if (vector.video) assert.deepEqual({ ...video, data: hex(video.data) }, vector.video, vector.name);
    if (vector.payload) assert.equal(hex(frame.payload), vector.payload, vector.name);
    assert.equal(hex(write(vector)), vector.hex, vector.name);
  }
});

test('what later or sloppy peers write is tolerated', () => {
  for (const vector of golden('tolerated')) {
    const { frame, message } = read(bytes(vector.hex));
    assert.equal(frame.kind, vector.kind, vector.name);
    assert.deepEqual(message, vector.message, vector.name);
  }
});

test('malformed messages are refused with their close code', () => {
  for (const vector of golden('malformed')) {
    assert.throws(() => read(bytes(vector.hex)), (error) => {
      assert.ok(error instanceof wire.WireError, `${vector.name}: ${error}`);
      assert.deepEqual([error.wire, error.closeCode], [vector.as_message, vector.close_code], vector.name);
      return true;
    });
  }
});

test('who speaks', () => {
  const data = wire.encodeMessage('speaking', { streams: [1, 3] });
  assert.equal(data[1], 0x0b);
  assert.equal(Buffer.from(data.subarray(16)).toString(), '{"streams":[1,3]}');
  assert.deepEqual(read(data).message, { streams: [1, 3] });
  for (const bad of ['{}', '{"streams":[-1]}', '{"streams":[65536]}', '{"streams":1}', '[]', 'null']) {
    assert.throws(() => read(wire.encodeFrame(0x0b, {}, Buffer.from(bad))), wire.WireError, bad);
  }
});

test('a pong carries the nonce of its ping even if no number holds it', () => {
  const ping = wire.decodeFrame(wire.encodeFrame(wire.KINDS.ping, {}, Buffer.from('{"nonce":18446744073709551615}')));
  wire.decodeMessage(ping);
  const pong = wire.decodeFrame(wire.encodePong(ping, 7));
  assert.deepEqual([pong.kind, pong.stream, Buffer.from(pong.payload).toString()], ['pong', 7, '{"nonce":18446744073709551615}']);
});

test('random, cut and bent frames give a message or a wire error, never anything else', () => {
  const chance = random(1);
  const vectors = golden('frames').map((v) => bytes(v.hex));
  for (let i = 0; i < 20_000; i += 1) {
    let data = vectors[Math.floor(chance() * vectors.length)].slice();
    if (i % 3 === 0) data = data.slice(0, Math.floor(chance() * (data.length + 1)));
    else if (i % 3 === 1) for (let n = 0; n < 3; n += 1) data[Math.floor(chance() * data.length)] = chance() * 256;
    else data = Uint8Array.from({ length: chance() * 64 }, (_, at) => (at === 0 && i % 2 ? 0xd7 : chance() * 256));
    try {
      read(data);
    } catch (error) {
      assert.ok(error instanceof wire.WireError, `${hex(data)}: ${error.stack}`);
    }
  }
});

test('pictures survive their chunks, a missing one costs only its picture', () => {
  const jpeg = Uint8Array.from({ length: 20_000 }, (_, i) => i);
  const chunks = (picture) => wire.splitPicture(jpeg, picture, 3, 9).map((data) => wire.decodeVideo(wire.decodeFrame(data).payload));
  const assembler = new wire.Assembler();
  assert.deepEqual(chunks(1).map((c) => assembler.push(c)), [null, null, jpeg]);
  const [a, b, c] = chunks(2);
  assert.deepEqual([a, c, b].map((chunk) => assembler.push(chunk)), [null, null, null]);
  assert.deepEqual(chunks(3).map((chunk) => assembler.push(chunk)), [null, null, jpeg]);
  const big = (index) => ({ picture: 4, index, count: 5, data: new Uint8Array(16_000) });
  for (let i = 0; i < 4; i += 1) assembler.push(big(i));
  assert.throws(() => assembler.push(big(4)), wire.WireError);
});

test('only a JPEG of at most 320x240 has a size', () => {
  const jpeg = (width, height, tail = []) => {
    const app = [0xff, 0xe0, 0, 4, 1, 2];
    const frame = [0xff, 0xc0, 0, 17, 8, height >> 8, height & 255, width >> 8, width & 255, 3, ...new Array(9).fill(1)];
    return Uint8Array.from([0xff, 0xd8, ...app, 0xff, ...frame, 0xff, 0xda, 0, 2, 0xff, 0, 0xff, 0xd0, ...tail, 0xff, 0xd9]);
  };
  assert.deepEqual(wire.jpegSize(jpeg(320, 240)), { width: 320, height: 240 });
  const second = jpeg(60_000, 60_000).slice(2);
  for (const bad of [jpeg(321, 240), jpeg(320, 241), jpeg(0, 1), jpeg(65_535, 65_535), jpeg(2, 2, second), jpeg(2, 2).slice(0, 12),
    Uint8Array.of(0xff, 0xd8, 0xff, 0xd9, 0, 0), Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0, 0), new Uint8Array(0)]) {
    assert.equal(wire.jpegSize(bad), null);
  }
});

test('names', () => {
  for (const good of ['a', 'Ada Lovelace', 'ä'.repeat(32), '日本', '😀'.repeat(32)]) assert.equal(wire.checkName(good), null, good);
  for (const bad of ['', 'a'.repeat(33), 'a\nb', 'a\u001b[2J', ' a', 'a ', 'a\u202eb', '\ufeffa', 'a\u0085', '\u3000a', '\ud800']) {
    assert.ok(wire.checkName(bad), JSON.stringify(bad));
  }
});
