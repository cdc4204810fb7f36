// Tests of the page's looks and words: text from strangers, situations, cells, layout, keys, figures.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GLYPH_OF_LUMA, RAMP, cellsFor, pick, stretch } from '../../../src/web/ascii.js';
import { fitted } from '../../../src/web/camera.js';
import { MIN_TILE, layout } from '../../../src/web/grid.js';
import { actionOf } from '../../../src/web/keys.js';
import { heightAt } from '../../../src/web/line.js';
import { meter } from '../../../src/web/lobby.js';
import { figures } from '../../../src/web/panel.js';
import { SITUATIONS, Situations, microphoneSituation, refusalSituation } from '../../../src/web/situations.js';
import { MAX_MARKS, REPLACEMENT, hueOfName, nameError, safe, shownName } from '../../../src/web/text.js';
import { random } from './support.mjs';

test('text from strangers: controls, overrides, fillers and private characters are replaced, as in the terminal', () => {
  assert.equal(safe('abc\u202egpj.exe'), 'abc·gpj.exe');
  assert.equal(safe('a\u2028b\u{e0041}c\ufeff\ufffe\n\x1b[31m'), 'a·b·c····[31m');
  assert.equal(safe('\ud800x\u3164\u2800\ue000'), '·x···');
  assert.equal(safe('<b onclick=x>&amp;'), '<b onclick=x>&amp;');
});

test('people\'s own scripts and emoji stay as they are', () => {
  for (const text of ['Zoë 日本 🎤', 'שָׁלוֹם', 'नमस्ते', 'Tiếng Việt', '👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽', 'مرحبا']) assert.equal(safe(text), text);
});

test('stacked marks are cut, and the base goes on', () => {
  assert.equal(safe(`Z${'\u0301'.repeat(10_000)}x`), `Z${'\u0301'.repeat(MAX_MARKS)}x`);
  assert.ok(shownName('a'.repeat(500)).length <= 32 * (MAX_MARKS + 1));
});

test('a name is never nothing', () => {
  for (const name of ['', '   ', '\u3164', '\u200b']) assert.equal(shownName(name), REPLACEMENT);
});

test('safe text has no control character, whatever comes', () => {
  const chance = random(7);
  for (let round = 0; round < 300; round += 1) {
    const text = String.fromCharCode(...Array.from({ length: 40 }, () => Math.floor(chance() * 65_536)));
    const shown = safe(text);
    assert.doesNotMatch(shown, /[\p{Cc}\p{Co}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u);
    assert.equal(safe(shown), shown);
  }
});

test('what is wrong with a typed name is said', () => {
  assert.equal(nameError('Zoë 🎤', 'name'), null);
  assert.match(nameError('', 'room'), /room/);
  assert.match(nameError('x'.repeat(33), 'name'), /33/);
  assert.equal(nameError('🎤'.repeat(32), 'name'), null);
  assert.match(nameError('a\u202eb', 'name'), /invisible/);
});

test('the hue of a name is the one of the test pictures', () => {
  assert.ok(Math.abs(hueOfName('a') - 18.276) < 0.001);
  assert.notEqual(hueOfName('Zoë'), hueOfName('Zoe'));
});

test('brightness becomes all glyphs, in order', () => {
  const used = [...GLYPH_OF_LUMA];
  assert.deepEqual(used, used.toSorted((a, b) => a - b));
  assert.equal(new Set(used).size, RAMP.length);
  assert.equal(GLYPH_OF_LUMA[0], 0);
  assert.equal(GLYPH_OF_LUMA[255], RAMP.length - 1);
});

const picked = (pixels) => {
  const glyphs = new Uint8Array(pixels.length);
  const colours = new Uint32Array(pixels.length);
  pick(new Uint8ClampedArray(pixels.flatMap(([r, g, b]) => [r, g, b, 255])), glyphs, colours);
  return { glyphs: [...glyphs].map((index) => RAMP[index]).join(''), colours: [...colours] };
};

test('a flat picture stays flat and keeps its brightness', () => {
  assert.equal(picked(Array(24).fill([0, 0, 0])).glyphs, ' '.repeat(24));
  assert.equal(picked(Array(24).fill([255, 255, 255])).glyphs, '@'.repeat(24));
  const grey = picked(Array(24).fill([128, 128, 128])).glyphs;
  assert.ok(new Set(grey).size === 1 && !' @'.includes(grey[0]), grey);
});

test('contrast is raised, but not without end', () => {
  const histogram = new Uint32Array(256);
  histogram[100] = histogram[140] = 50;
  const table = stretch(histogram, 100);
  assert.deepEqual([table[100], table[140]], [80, 160]);
  assert.ok(table.every((luma, index) => index === 0 || luma >= table[index - 1]));
});

test('cells carry their colour at full brightness', () => {
  const { colours } = picked([[10, 0, 0], [0, 128, 0], [0, 0, 255], [64, 128, 32]]);
  assert.deepEqual(colours.map((c) => [c & 255, (c >> 8) & 255, (c >> 16) & 255]), [[79, 0, 0], [0, 255, 0], [0, 0, 255], [127, 255, 63]]);
});

test('cells fill the box, twice as high as wide, in the picture\'s aspect', () => {
  assert.deepEqual(cellsFor(400, 300, 1, 4 / 3), { columns: 80, rows: 30, cell: 5 });
  assert.deepEqual(cellsFor(800, 600, 2, 4 / 3), { columns: 80, rows: 30, cell: 10 });
  const chance = random(3);
  for (let round = 0; round < 500; round += 1) {
    const [width, height, aspect] = [1 + chance() * 3000, 1 + chance() * 3000, 0.2 + chance() * 4];
    const { columns, rows, cell } = cellsFor(width, height, 1 + chance() * 2, aspect);
    assert.ok(columns >= 1 && rows >= 1 && columns <= 120 && columns * cell <= Math.max(width, 2), `${width}x${height} ${aspect}`);
  }
});

test('a camera picture fits the wire and is never scaled up', () => {
  assert.deepEqual(fitted(640, 480), [320, 240]);
  assert.deepEqual(fitted(1280, 720), [320, 180]);
  assert.deepEqual(fitted(480, 640), [180, 240]);
  assert.deepEqual(fitted(100, 50), [100, 50]);
  assert.deepEqual(fitted(10_000, 1), [320, 1]);
});

test('tiles fit: one fills, two stand side by side or above each other', () => {
  assert.equal(layout(1, 1000, 800).across, 1);
  assert.equal(layout(2, 1000, 500).across, 2);
  assert.equal(layout(2, 350, 700).across, 1);
  assert.equal(layout(4, 1200, 700).across, 2);
});

test('no row is wider than the room, and what does not fit scrolls', () => {
  for (let count = 1; count <= 40; count += 1) {
    for (const [width, height] of [[340, 560], [700, 240], [1200, 640], [100, 100]]) {
      const { across, tile } = layout(count, width, height);
      assert.ok(across >= 1 && across <= count && tile >= Math.min(MIN_TILE, width), `${count} in ${width}x${height}: ${across} of ${tile}`);
      assert.ok(across * tile + (across - 1) * 12 <= width, `${count} in ${width}x${height}: ${across} of ${tile}`);
    }
  }
});

test('shortcuts are those of the terminal, and never while typing', () => {
  const none = { typing: false, pressable: false };
  const press = (key, at = none, held = {}) => actionOf({ key, repeat: false, ctrlKey: false, metaKey: false, altKey: false, ...held }, at);
  assert.deepEqual(['m', 't', 'Enter', 'q', 'v', 'd', 's', 'g', 'p', 'Escape', 'x'].map((key) => press(key)),
    ['mute', 'chat', 'chat', 'leave', 'camera', 'deafen', 'stats', 'settings', 'ascii', 'close', null]);
  assert.equal(press('M'), 'mute');
  assert.equal(press('q', { typing: true, pressable: true }), null);
  assert.equal(press('Escape', { typing: true, pressable: true }), 'close');
  assert.equal(press('Enter', { typing: false, pressable: true }), null);
  assert.equal(press('m', none, { ctrlKey: true }), null);
  assert.equal(press('m', none, { repeat: true }), null);
});

test('the most important situation is shown, and each is told once', () => {
  const told = [];
  const situations = new Situations((word) => told.push(word));
  situations.raise('permission-denied');
  situations.raise('server-gone', { joined: true });
  situations.raise('server-gone', { joined: true });
  situations.raise('background');
  assert.equal(situations.current.word, 'server-gone');
  situations.clear('server-gone');
  assert.equal(situations.current.word, 'permission-denied');
  situations.clear('permission-denied', 'background');
  assert.equal(situations.current, null);
  assert.deepEqual(told, ['permission-denied', 'server-gone', 'background']);
});

test('every situation has a sentence without gaps, and says what to do', () => {
  for (const [word, { say, rank }] of Object.entries(SITUATIONS)) {
    const sentence = say({});
    assert.match(sentence, /^[A-Z].*[.]$/s, word);
    assert.doesNotMatch(sentence, /undefined|null|NaN/, word);
    assert.ok(rank > 0 && sentence.length < 330, word);
  }
  assert.match(SITUATIONS['websocket-refused'].say({ origin: 'https://a.example' }), /--allow-origin https:\/\/a\.example/);
  assert.match(SITUATIONS['sound-failed'].say({ devices: ['microphone'] }), /^Your microphone could not be started.*Load the page again/);
  assert.match(SITUATIONS['sound-failed'].say({ devices: ['speaker', 'microphone'] }), /^Sound could not/);
  assert.match(SITUATIONS['server-gone'].say({ joined: false, replaced: true }), /Load the page again/);
  assert.match(SITUATIONS['insecure-origin'].say({ origin: 'http://a:7461', port: ':7461' }), /http:\/\/localhost:7461.*https/);
});

test('exceptions and refusals become words', () => {
  assert.deepEqual(['NotFoundError', 'NotAllowedError', 'NotReadableError', 'ended', 'SomethingNew'].map(microphoneSituation),
    ['no-microphone', 'permission-denied', 'microphone-busy', 'no-microphone', 'no-microphone']);
  assert.deepEqual(['server_full', 'name_taken', 'version_unsupported', undefined].map(refusalSituation),
    ['server-full', 'name-taken', 'refused', 'refused']);
});

test('the meter is empty at -60 dBFS and full at full scale', () => {
  assert.equal(meter(new Float32Array(100)), 0);
  assert.ok(Math.abs(meter(new Float32Array(100).fill(0.0316)) - 0.5) < 0.01);
  assert.ok(meter(new Float32Array(100).fill(1)) > 0.999);
});

test('the line is flat in silence and never leaves its tile', () => {
  for (let x = 0; x <= 1; x += 0.01) {
    assert.equal(Math.abs(heightAt(x, 0, 3)), 0);
    assert.ok(Math.abs(heightAt(x, 1, x * 50)) <= 1);
  }
});

test('figures come from the difference of two reports, and none is NaN', () => {
  const report = (second, factor) => ({
    timestamp: `2026-01-01T00:00:0${second}Z`, sidetone: { connections: 2 },
    stats: [
      { id: 'inbound-audio', jitterBufferDelay: 1920 * factor, jitterBufferEmittedCount: 48_000 * factor, concealedSamples: 480, totalSamplesReceived: 48_000 },
      { id: 'transport', bytesSent: 1000 * factor, bytesReceived: 2000 * factor, currentRoundTripTime: 0.0123 },
      { id: 'inbound-video-Ada', framesDecoded: 15 * factor },
    ],
  });
  const rows = Object.fromEntries(figures(report(1, 1), report(2, 2), { state: 'running', sampleRate: 48_000, outputLatencyMs: 10 }));
  assert.equal(rows['Round trip'], '12.3 ms');
  assert.equal(rows['Jitter buffer'], '40 ms');
  assert.equal(rows['Concealed sound'], '1.00 %');
  assert.deepEqual([rows['Bitrate up'], rows['Bitrate down']], ['8 kb/s', '16 kb/s']);
  assert.equal(rows['Pictures seen'], '15.0 /s');
  assert.equal(rows['AudioContext'], 'running, 48000 Hz');
  assert.doesNotMatch(figures(null, { timestamp: '', stats: [] }).flat().join(), /NaN|undefined/);
});
