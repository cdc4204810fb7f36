// Tests of the page's face of a call against a worker that is played by the test.
// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Call } from '../../../src/web/call.js';

class FakeWorker {
  static made = [];
  posted = [];
  ended = false;

  constructor() {
    FakeWorker.made.push(this);
  }

  postMessage(message) {
    this.posted.push(message);
  }

  terminate() {
    this.ended = true;
  }
}

/** A call whose workers are `workers`; `told`: names and details of its events. */
function begin() {
  globalThis.Worker = FakeWorker;
  FakeWorker.made = [];
  const call = new Call({ url: 'ws://localhost:1/ws', name: 'Ada', room: 'lobby' });
  const told = [];
  for (const type of ['state', 'log', 'audio']) call.addEventListener(type, ({ detail }) => told.push([type, detail]));
  call.join();
  const states = () => told.filter(([type]) => type === 'state').map(([, detail]) => detail);
  return { call, told, states, workers: FakeWorker.made };
}

test('a worker whose files do not come is started again with back-off, until it speaks', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { call, told, states, workers } = begin();
  call.setMuted(true);
  for (let attempt = 1; attempt <= 6; attempt += 1) {
    workers.at(-1).onerror({ message: undefined });
    const { state, stage, retryInMs, attempt: next } = states().at(-1);
    assert.deepEqual([state, stage, next], ['reconnecting', 'page', attempt + 1]);
    assert.ok(retryInMs >= 100 * 2 ** (attempt - 1) && retryInMs <= 200 * 2 ** (attempt - 1), `${retryInMs}`);
    mock.timers.tick(retryInMs - 1);
    assert.equal(workers.length, attempt);
    mock.timers.tick(1);
    assert.equal(workers.length, attempt + 1);
  }
  assert.ok(workers.slice(0, -1).every((worker) => worker.ended));
  assert.equal(workers.at(-1).posted[0].muted, true, 'what was said meanwhile holds');
  workers.at(-1).onmessage({ data: { event: 'state', detail: { state: 'joined' } } });
  workers.at(-1).onerror({ message: undefined });
  assert.equal(states().at(-1).state, 'joined', 'one that ran is not started again');
  assert.deepEqual(told.filter(([type]) => type === 'log').map(([, { event }]) => event).slice(0, 2), ['client.connect_failed', 'client.reconnecting']);
  mock.timers.reset();
});

test('who presses "Try now" does not wait, and who leaves is left alone', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { call, workers } = begin();
  workers[0].onerror({ message: undefined });
  call.wake();
  assert.equal(workers.length, 2);
  workers[1].onerror({ message: undefined });
  call.leave();
  mock.timers.tick(60_000);
  call.wake();
  assert.equal(workers.length, 2);
  mock.timers.reset();
});

test('a worker whose code is broken ends the call, with the reason', () => {
  const { states, workers } = begin();
  workers[0].onerror({ message: 'SyntaxError: no' });
  assert.deepEqual(states(), [{ state: 'ended', reason: 'SyntaxError: no', code: null }]);
});
