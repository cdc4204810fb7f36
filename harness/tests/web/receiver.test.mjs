// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Receiver } from '../../../src/web/receiver.js';

/** A decoder that gives its sound when the test wants it: a busy machine takes its time. */
class SlowDecoder {
  static made = [];
  state = 'configured';
  waiting = 0;

  constructor({ output }) {
    this.output = output;
    SlowDecoder.made.push(this);
  }

  configure() {}

  decode() {
    this.waiting += 1;
  }

  close() {
    this.state = 'closed';
  }

  give() {
    for (; this.waiting > 0; this.waiting -= 1) this.output({ numberOfFrames: 960, copyTo() {}, close() {} });
  }
}

function listening() {
  globalThis.AudioDecoder = SlowDecoder;
  globalThis.EncodedAudioChunk = class {};
  SlowDecoder.made = [];
  const posted = [];
  const receiver = new Receiver({ log() {} });
  receiver.port = { postMessage: (message) => posted.push(message) };
  return { receiver, posted };
}

const packet = (sequence) => ({ sequence, timestamp: sequence * 960, opus: new Uint8Array(3) });

test('what was in the decoder when the connection was lost does not begin the sound again', () => {
  const { receiver, posted } = listening();
  receiver.take(packet(1));
  SlowDecoder.made[0].give();
  receiver.take(packet(2));
  receiver.end();
  SlowDecoder.made[0].give();
  assert.deepEqual(posted.map(({ sequence, endStream }) => sequence ?? endStream), [1, true]);
  receiver.take(packet(3));
  SlowDecoder.made[1].give();
  assert.equal(posted.at(-1).sequence, 3, 'the next connection is heard');
});
