// Tests of the page's files as a whole: everything that is imported is served, and is there before anybody presses Join.
// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const FOLDER = new URL('../../../src/web/', import.meta.url);
const read = (name) => readFileSync(new URL(name, FOLDER), 'utf8');

/** Files that a module imports, statically or not. */
const imports = (name) => [...read(name).matchAll(/\b(?:from|import)\s*\(?\s*'\.\/([^']+)'/g)].map(([, file]) => file);

/** A module and all that it imports, directly or through others. */
function closure(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const file of imports(name)) closure(file, seen);
  return seen;
}

const page = closure('app.js');
const threads = ['engine.js', 'capture-worklet.js', 'playout-worklet.js'];
const html = read('index.html');
const preloaded = [...html.matchAll(/<link rel="modulepreload" href="\{\{assets\}\}\/([^"]+)">/g)].map(([, file]) => file);
const embedded = [...read('mod.rs').match(/\nassets!\[([^\]]+)\]/)[1].matchAll(/"([^"]+)"/g)].map(([, file]) => file);

test('the import closures are found at all', () => {
  for (const file of ['call.js', 'wire.js', 'text.js', 'grid.js']) assert.ok(page.has(file), file);
  assert.ok(closure('engine.js').has('session.js') && closure('playout-worklet.js').has('jitter.js'));
});

test('all that the worker and the audio thread import is fetched while the person is in the lobby', () => {
  for (const thread of threads) {
    for (const file of closure(thread)) assert.ok(preloaded.includes(file) || page.has(file), `${file}, imported for ${thread}, is not preloaded`);
  }
});

test('everything imported is embedded in the program; nothing else is, and nothing is preloaded in vain', () => {
  const needed = new Set([...page, ...threads.flatMap((thread) => [...closure(thread)])]);
  assert.deepEqual([...needed].toSorted(), embedded.filter((file) => file.endsWith('.js')).toSorted());
  assert.deepEqual(preloaded.toSorted(), [...needed].filter((file) => file !== 'app.js').toSorted(), 'each once');
});

test('no file is so long that nobody reads it', () => {
  for (const file of readdirSync(FOLDER).filter((name) => /\.(js|css)$/.test(name))) {
    const lines = read(file).split('\n').length - 1;
    assert.ok(lines <= 400, `${file}: ${lines} lines`);
  }
});

test('the audio thread has no TextEncoder, no network and no document', () => {
  for (const thread of ['capture-worklet.js', 'playout-worklet.js']) {
    for (const file of closure(thread)) assert.doesNotMatch(read(file), /\b(?:new (?:TextEncoder|TextDecoder|WebSocket)|fetch\(|document\.|setTimeout)/, `${file} of ${thread}`);
  }
});
