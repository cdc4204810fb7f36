// Run: node --test harness/tests/web/*.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outbox } from '../../../src/web/outbox.js';
import { Backoff, Heartbeat } from '../../../src/web/patience.js';
import { Session } from '../../../src/web/session.js';
import * as wire from '../../../src/web/wire.js';
import { random } from './support.mjs';

const WELCOME = {
  version: 1, stream: 3, server: 's', agent: 'a', room: 'lobby', participants: [{ stream: 1, name: 'Zoë', muted: true }],
  capabilities: ['audio', 'picture', 'chat'], audio: { ...wire.AUDIO }, heartbeat_ms: 2_000, timeout_ms: 10_000,
};
const config = { name: 'Ada', room: 'lobby', agent: 't', target: 'ws://localhost:1/ws', address: '127.0.0.1:1' };

/** A session that is driven by hand; remembers what it did. */
class Drive {
  session = new Session(config);
  now = 0;
  actions = [];

  do(actions) {
    this.actions = actions;
    return this;
  }

  start() {
    return this.do(this.session.start(this.now));
  }

  receive(kind, message) {
    return this.do(this.session.received(wire.encodeMessage(kind, message), this.now, 1));
  }

  joined() {
    this.start().do(this.session.opened(this.now));
    return this.receive('welcome', WELCOME);
  }

  /** Lets time pass, with polls at the deadlines; gives all that was done. */
  pass(ms) {
    const [end, all] = [this.now + ms, []];
    while (this.session.deadline <= end) {
      this.now = Math.max(this.now, this.session.deadline);
      all.push(...this.session.poll(this.now, 1));
    }
    this.now = end;
    return this.do(all);
  }

  get sent() {
    return this.actions.filter((a) => a.do === 'send').map((a) => wire.decodeFrame(a.bytes)).map((f) => ({ ...wire.decodeMessage(f), kind: f.kind, stream: f.stream }));
  }

  get logs() {
    return this.actions.filter((a) => a.name === 'log').map((a) => a.detail.event);
  }

  events(name) {
    return this.actions.filter((a) => a.do === 'event' && a.name === name).map((a) => a.detail);
  }
}

test('back-off doubles up to 15 s, from the upper half', () => {
  const backoff = new Backoff();
  assert.deepEqual(Array.from({ length: 8 }, () => backoff.next(1)), [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000]);
  backoff.reset();
  assert.equal(backoff.next(0), 100);
  for (let i = 0; i < 100; i += 1) assert.ok(backoff.next(1) <= 15_000);
});

test('the heartbeat pings every 2 s and gives up after 10 s', () => {
  const heartbeat = new Heartbeat(100_000);
  assert.deepEqual(heartbeat.poll(101_000), { wait: 102_000 });
  assert.deepEqual(heartbeat.poll(102_000), { ping: true });
  assert.deepEqual(heartbeat.poll(102_000), { wait: 104_000 });
  heartbeat.received(103_000);
  for (const at of [104_000, 106_000, 108_000, 110_000, 112_000]) assert.deepEqual(heartbeat.poll(at), { ping: true });
  assert.deepEqual(heartbeat.poll(112_000), { wait: 113_000 });
  assert.deepEqual(heartbeat.poll(113_000), { gone: 10_000 });
});

test('a page that slept asks before it gives up', () => {
  const heartbeat = new Heartbeat(0);
  assert.deepEqual(heartbeat.poll(60_000), { ping: true });
  assert.ok(heartbeat.poll(63_100).gone > 10_000);
  const answered = new Heartbeat(0);
  answered.poll(60_000);
  answered.received(60_050);
  assert.deepEqual(answered.poll(63_100), { ping: true });
});

test('connects, greets, joins', () => {
  const drive = new Drive().start();
  assert.deepEqual(drive.actions.map((a) => a.do), ['event', 'event', 'connect']);
  assert.deepEqual(drive.events('state'), [{ state: 'connecting', attempt: 1, retryInMs: 0 }]);
  drive.now = 30;
  drive.do(drive.session.opened(30));
  assert.deepEqual(drive.sent.map((m) => [m.kind, m.name, m.room, m.version_max]), [['hello', 'Ada', 'lobby', 1]]);
  assert.deepEqual(drive.events('log')[0].fields, { target: config.target, address: '127.0.0.1:1', local: '0.0.0.0:0', transport: 'websocket', took_us: 30_000 });
  drive.receive('welcome', WELCOME);
  assert.deepEqual(drive.events('welcome'), [WELCOME]);
  assert.deepEqual(drive.events('state'), [{ state: 'joined' }]);
  assert.deepEqual(drive.events('log')[0], {
    event: 'client.joined',
    fields: { server: 's', room: 'lobby', name: 'Ada', stream: 3, participants: ['Zoë'], codec: 'opus', clock_rate: 48_000, channels: 1, frame_ms: 20, bitrate: 128_000 },
  });
  assert.equal(drive.session.stream, 3);
});

test('pings, answers pings, measures the round trip, and gives a silent server up', () => {
  const drive = new Drive().joined();
  assert.deepEqual(drive.pass(2_500).sent, [{ kind: 'ping', stream: 3, nonce: 2_000_000 }]);
  drive.receive('pong', { nonce: 2_000_000 });
  assert.equal(drive.session.counters.roundTrip, 500);
  assert.deepEqual(drive.receive('ping', { nonce: 9 }).sent, [{ kind: 'pong', stream: 3, nonce: 9 }]);
  drive.pass(10_100);
  assert.equal(drive.sent.length, 5);
  assert.deepEqual(drive.logs.slice(0, 2), ['client.disconnected', 'client.reconnecting']);
  assert.deepEqual(drive.events('state')[0], {
    state: 'reconnecting', reason: 'nothing received from the server for 10 s', code: 1008, retryInMs: 200, attempt: 2,
  });
});

test('a server that cannot be reached is tried again, ever more slowly', () => {
  const drive = new Drive().start();
  const delays = [];
  for (let n = 0; n < 9; n += 1) {
    drive.do(drive.session.closed({ code: 1006, reason: '' }, drive.now, 1));
    assert.deepEqual(drive.logs, ['client.connect_failed', 'client.reconnecting']);
    const [{ retryInMs, attempt, state }] = drive.events('state');
    assert.deepEqual([state, attempt], ['reconnecting', n + 2]);
    delays.push(retryInMs);
    drive.pass(retryInMs);
    assert.equal(drive.actions.at(-1).do, 'connect');
  }
  assert.deepEqual(delays, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000]);
});

test('neither an opening nor an answer that never comes is waited for', () => {
  const drive = new Drive().start();
  drive.pass(5_000);
  assert.match(drive.events('state')[0].reason, /did not open within 5 s/);
  const greeted = new Drive().start();
  greeted.do(greeted.session.opened(0)).pass(5_000);
  assert.equal(greeted.events('log')[0].fields.stage, 'hello');
});

test('after a loss it joins again, mute as before, and waits for its own old name', () => {
  const drive = new Drive().joined();
  assert.deepEqual(drive.do(drive.session.mute(true)).sent, [{ kind: 'mute', stream: 3, muted: true }]);
  drive.do(drive.session.closed({ code: 1013, reason: 'slow' }, drive.now, 0));
  assert.deepEqual(drive.events('log')[0], { event: 'client.disconnected', fields: { close_code: 1013, reason: 'slow' } });
  assert.equal(drive.session.stream, 0);
  drive.pass(100).do(drive.session.opened(drive.now));
  drive.receive('refusal', { code: 'name_taken', message: 'taken' });
  assert.deepEqual(drive.events('state').map((s) => s.state), ['reconnecting']);
  drive.pass(400).do(drive.session.opened(drive.now)).receive('welcome', { ...WELCOME, stream: 9 });
  assert.deepEqual(drive.sent, [{ kind: 'mute', stream: 9, muted: true }]);
  assert.equal(drive.session.counters.connections, 2);
});

test('a refusal is final, unless the server goes down', () => {
  for (const [code, state] of [['name_taken', 'refused'], ['server_full', 'refused'], ['room_invalid', 'refused'], ['shutting_down', 'reconnecting']]) {
    const drive = new Drive().start();
    drive.do(drive.session.opened(0)).receive('refusal', { code, message: 'why' });
    assert.deepEqual(drive.events('state').map((s) => [s.state, s.code, s.reason]), [[state, code, 'why']]);
    assert.equal(drive.session.deadline < Infinity, state === 'reconnecting');
  }
});

test('a malformed frame is answered with its code, and tried again', () => {
  const bad = [[new TextEncoder().encode('HTTP/1.1'), 1002], [wire.encodeFrame(0x10, {}, new Uint8Array(1_501)), 1009], [null, 1002],
    [wire.encodeMessage('welcome', WELCOME), 1002], [wire.encodeFrame(wire.KINDS.audio, {}, Uint8Array.of(200, 1)), 1002]];
  for (const [bytes, code] of bad) {
    const drive = new Drive().joined();
    drive.do(drive.session.received(bytes, 5, 1));
    assert.deepEqual(drive.sent.map((m) => [m.kind, m.code]), [['bye', code]]);
    assert.deepEqual(drive.actions.filter((a) => a.do === 'close').map((a) => a.code), [code]);
    assert.deepEqual(drive.logs, ['client.disconnected', 'client.reconnecting']);
    assert.deepEqual(drive.events('state').map((s) => [s.state, s.code]), [['reconnecting', code]]);
  }
});

test('what happens in the room is told', () => {
  const drive = new Drive().joined();
  assert.deepEqual(drive.receive('joined', { participant: { stream: 4, name: 'Bob', muted: false } }).events('participant-joined'), [{ stream: 4, name: 'Bob', muted: false }]);
  assert.deepEqual(drive.receive('mute', { stream: 4, muted: true }).events('mute'), [{ stream: 4, muted: true }]);
  assert.deepEqual(drive.receive('chat', { from: 'Bob', text: 'hi' }).events('chat'), [{ from: 'Bob', text: 'hi' }]);
  assert.deepEqual(drive.receive('speaking', { streams: [4] }).events('speaking'), [{ streams: [4] }]);
  assert.deepEqual(drive.receive('left', { stream: 4, name: 'Bob' }).events('participant-left'), [{ stream: 4, name: 'Bob', reason: '' }]);
  assert.deepEqual(drive.do(drive.session.say('ä'.repeat(3_000))).sent.map((m) => m.text.length), [2_048]);
  assert.deepEqual(drive.do(drive.session.received(wire.encodeFrame(0x7f, {}, Uint8Array.of(1)), 0, 1)).actions, []);
});

test('sound goes on to be played, the first is told once', () => {
  const drive = new Drive().joined();
  const sound = (level, sequence) => drive.do(drive.session.received(wire.encodeAudio({ sequence, timestamp: 960 }, level, Uint8Array.of(1, 2)), 40, 1));
  assert.deepEqual(sound(20, 7).events('log'), [{ event: 'client.first_audio', fields: { after_ms: 40, level: 20 } }]);
  assert.deepEqual({ ...sound(20, 8).actions[0], opus: 0 }, { do: 'audio', sequence: 8, timestamp: 960, level: 20, opus: 0 });
  assert.equal(drive.actions.length, 1);
  assert.equal(drive.session.counters.audioBytesReceived, 6);
});

test('pictures are put together; one that is no small JPEG is counted and goes no further', () => {
  const drive = new Drive().joined();
  const small = Uint8Array.from([0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0, 240, 1, 64, 3, ...new Array(9).fill(1), 0xff, 0xda, ...new Array(9_000).fill(2)]);
  const bomb = small.slice();
  bomb[7] = 0xff;
  const send = (jpeg, stream = 1) => wire.splitPicture(jpeg, 1, stream, 0).flatMap((bytes) => drive.session.received(bytes, 9, 1));
  drive.do(send(small));
  assert.deepEqual(drive.events('picture'), [{ stream: 1, jpeg: small }]);
  assert.deepEqual(drive.events('log')[0].fields, { stream: 1, name: 'Zoë', width: 320, height: 240, after_ms: 9 });
  assert.deepEqual(send(bomb), []);
  assert.deepEqual(send(small, 77), [], 'of nobody');
  assert.deepEqual(Object.fromEntries(drive.session.pictures), { Zoë: { received: 1, undecodable: 1, bytes: 2 * small.length } });
});

test('who comes back is connected at once; a dead connection is found within 3 s', () => {
  const waiting = new Drive().start();
  waiting.do(waiting.session.closed({ code: 1006, reason: '' }, 0, 1));
  assert.equal(waiting.do(waiting.session.wake(10, 1)).actions.at(-1).do, 'connect');
  const drive = new Drive().joined();
  drive.now = 500;
  assert.deepEqual(drive.do(drive.session.wake(500, 1)).sent.map((m) => m.kind), ['ping']);
  drive.pass(3_000);
  assert.deepEqual(drive.events('state').map((s) => s.state), ['reconnecting']);
  const alive = new Drive().joined();
  alive.do(alive.session.wake(500, 1)).receive('pong', { nonce: 0 });
  assert.deepEqual(alive.pass(4_000).events('state'), []);
});

test('leaving says goodbye and ends for good', () => {
  const drive = new Drive().joined();
  drive.do(drive.session.leave());
  assert.deepEqual(drive.sent.map((m) => [m.kind, m.code]), [['bye', 1000]]);
  assert.deepEqual(drive.events('state'), [{ state: 'ended', reason: 'left', code: 1000 }]);
  assert.deepEqual(drive.session.closed({ code: 1000, reason: '' }, 0, 1), []);
  assert.deepEqual(drive.session.leave(), []);
  assert.equal(drive.session.deadline, Infinity);
});

test('any order of inputs keeps the machine sound', () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const chance = random(seed);
    const session = new Session(config);
    let now = 0;
    const inputs = [
      () => session.opened(now), () => session.closed({ code: 1006, reason: '' }, now, chance()), () => session.poll(now, chance()),
      () => session.received(wire.encodeMessage('welcome', WELCOME), now, chance()), () => session.wake(now, chance()), () => session.say('x'),
      () => session.received(wire.encodeMessage('refusal', { code: 'shutting_down', message: '' }), now, chance()), () => session.mute(chance() < 0.5),
      () => session.received(wire.encodeMessage('pong', { nonce: 1 }), now, chance()),
    ];
    session.start(now);
    for (let i = 0; i < 200; i += 1) {
      now += chance() * 3_000;
      for (const action of inputs[Math.floor(chance() * inputs.length)]()) assert.ok(['event', 'send', 'connect', 'close', 'audio'].includes(action.do));
      assert.ok(session.deadline < Infinity, 'something is always awaited');
      assert.equal(session.stream, session.state === 'joined' ? 3 : 0);
    }
  }
});

test('sound goes before pictures, the oldest is dropped, the latest picture wins', () => {
  const outbox = new Outbox();
  let [waiting, sent] = [0, []];
  const drain = (room = Infinity) => outbox.drain(() => waiting, (frame) => {
    sent.push(frame);
    if (sent.length >= room) waiting = 20_000;
  });
  outbox.picture(['p1a', 'p1b'], 0);
  outbox.picture(['p2a'], 0);
  outbox.picture(['p3a'], 0);
  outbox.audio('a1');
  assert.equal(drain(2), true);
  assert.deepEqual(sent, ['a1', 'p1a']);
  for (let n = 2; n <= 8; n += 1) outbox.audio(`a${n}`);
  assert.equal(drain(), true);
  waiting = 8_000;
  sent = [];
  assert.equal(drain(), true);
  assert.deepEqual(sent, ['a4', 'a5', 'a6', 'a7', 'a8'], 'sound does not wait for a chunk on its way, a picture does');
  waiting = 0;
  assert.equal(drain(), false);
  assert.deepEqual(sent.slice(5), ['p1b', 'p3a']);
  outbox.picture(['p4'], 70_000);
  assert.deepEqual(outbox.counts, { audioSent: 6, audioDropped: 2, picturesSent: 2, picturesDropped: 2 });
});
