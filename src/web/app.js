// The page: the lobby, the call, and what happens in between.

import { Call } from './call.js';
import { allowed, onCapture } from './devices.js';
import { Gear, deviceFailed, deviceOpened } from './gear.js';
import { listen } from './keys.js';
import { Lobby } from './lobby.js';
import { emit, now, room } from './now.js';
import { Options } from './options.js';
import { Chat, Drawers, Statistics } from './panel.js';
import { query, remember, settings } from './settings.js';
import { NOTE_MS, clear, raise, showAlone, showControls, showCountdown, showLink, showTitle, showUnread, situations, toast } from './show.js';
import { refusalSituation } from './situations.js';
import { nameError, shownName } from './text.js';

const $ = (id) => document.getElementById(id);
/** Sound that is about to start is suspended for a moment too. */
const LOCK_MS = 300;
/** So many attempts after a call that worked, nobody asks whether HTTP still does. */
const PATIENT_ATTEMPTS = 5;
const CONNECTION_SITUATIONS = ['server-gone', 'websocket-refused', 'blocked-by-policy', 'server-full', 'name-taken', 'refused', 'network-changed'];

onCapture((fields) => emit('browser.capture', fields));

const chat = new Chat({ say, unread: showUnread });
const statistics = new Statistics(() => now.call?.stats() ?? Promise.resolve(null));
const drawers = new Drawers({
  chat: { focus: $('chat-input'), changed: (open) => chat.changed(open) },
  stats: { focus: $('stats-title'), changed: (open) => statistics.changed(open) },
  settings: { focus: $('settings-title'), changed: (open) => options.changed(open) },
});
const lobby = new Lobby({ settings, join, cancel: () => leave(), failed: deviceFailed, opened: deviceOpened });
const gear = new Gear(lobby);
const options = new Options(lobby, gear);

// ---- joining and leaving

async function join() {
  if (now.call) return;
  const chosen = lobby.values;
  remember(chosen);
  clear(...CONNECTION_SITUATIONS);
  Object.assign(now, { name: chosen.name, room: chosen.room, joined: false, opened: false, state: 'connecting', muted: false, deafened: false, microphone: lobby.handOver() });
  const call = new Call({ url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`, name: chosen.name, room: chosen.room });
  now.call = call;
  attend(call);
  lobby.busy(true);
  showControls();
  // Joined first, asked second: nobody waits in front of the door for a permission, and the sound may start in this click.
  call.join({ microphone: now.microphone, speakerId: chosen.speaker || undefined });
  if (now.microphone) gear.watchMicrophone();
  else if (chosen.microphone !== 'none' && allowed()) await gear.startMicrophone();
  if (chosen.camera !== 'none' && allowed() && now.call === call) await gear.startCamera();
}

function leave() {
  now.call?.leave();
  back('You left the call.');
}

/** To the lobby, whatever was before. */
function back(note) {
  const was = now.call;
  now.call = null;
  now.last = was ?? now.last;
  gear.stopCamera();
  now.microphone?.stop();
  Object.assign(now, { microphone: null, state: 'lobby', stream: 0, retryAt: 0 });
  clear('server-gone', 'websocket-refused', 'autoplay-locked', 'no-webcodecs', 'sound-failed', 'no-camera', 'network-changed');
  drawers.close({ focus: false });
  room.clear();
  chat.clear();
  lobby.busy(false);
  view('lobby');
  if (was && note) toast(note);
}

function view(which) {
  const changed = document.body.dataset.view !== which;
  document.body.dataset.view = which;
  $('lobby').hidden = which !== 'lobby';
  $('call').hidden = which !== 'call';
  if (which === 'lobby') lobby.show();
  if (changed) $(which === 'call' ? 'call-title' : 'join').focus({ preventScroll: true });
  showTitle();
}

function attend(call) {
  const on = (type, act) => call.addEventListener(type, ({ detail }) => now.call === call && act(detail));
  on('state', stateChanged);
  on('welcome', welcomed);
  on('participant-joined', (someone) => {
    room.add(someone);
    came(someone.name, 'joined');
  });
  on('participant-left', ({ stream, name }) => {
    room.remove(stream);
    came(name, 'left');
  });
  on('mute', ({ stream, muted }) => room.setMuted(stream, muted));
  on('chat', ({ from, text }) => chat.add({ from, text }));
  on('speaking', ({ streams }) => {
    for (const { stream } of room.others) room.setSpeaking(stream, streams.includes(stream));
  });
  on('own-speaking', ({ active }) => room.setSpeaking(now.stream, active && !now.muted));
  on('picture', ({ stream, jpeg }) => {
    const name = room.nameOf(stream);
    if (name !== null) now.pictures.set(name, jpeg);
    room.picture(stream, jpeg);
  });
  on('audio', soundChanged);
  on('sound-failed', ({ devices }) => (devices.length > 0 ? raise('sound-failed', { devices }) : clear('sound-failed')));
  // Its last words too, when another call is already on.
  call.addEventListener('log', ({ detail: { event, fields } }) => {
    if (now.call === call && ['client.connecting', 'client.connected'].includes(event)) now.opened = event === 'client.connected';
    emit(event, fields);
  });
}

function stateChanged({ state, stage, reason = '', code, retryInMs = 0, attempt = 1 }) {
  now.state = state;
  if (state === 'joined') {
    now.retryAt = 0;
    clear(...CONNECTION_SITUATIONS, 'offline');
    if (now.joined) toast('You are back in the call.');
    now.joined = true;
    view('call');
  } else if (state === 'reconnecting') {
    now.retryAt = performance.now() + retryInMs;
    if (retryInMs > 0) lost(attempt, stage);
  } else if (state === 'refused') {
    refused(code, reason);
  } else if (state === 'ended') {
    back(reason || 'The call has ended.');
  }
  showLink();
}

function welcomed({ stream, room: name, participants }) {
  now.stream = stream;
  now.room = name;
  $('where').textContent = shownName(name);
  $('invite').textContent = `${location.origin}/?room=${encodeURIComponent(name)}`;
  room.reset({ stream, name: now.name, muted: now.muted }, participants);
  showAlone();
  showTitle();
}

function refused(code, reason) {
  const situation = refusalSituation(code);
  const { name, room: place } = now;
  back(null);
  raise(situation, { name: shownName(name), room: shownName(place), reason });
  if (situation === 'name-taken') lobby.invalid('name', 'Choose another name.');
}

/** The connection is gone or never came. A server that answers HTTP but no WebSocket is another matter. */
async function lost(attempt, stage) {
  const { call, opened } = now;
  // Its files are not there: then nothing was said about WebSockets yet, and one that answers is another version.
  if (stage === 'page') {
    const healthy = await answers();
    return now.call === call && now.state === 'reconnecting' && raise('server-gone', { joined: false, replaced: healthy });
  }
  // A server that was here a moment ago is looked for by the call itself; this question would only add noise.
  if (!opened && (!now.joined || attempt > PATIENT_ATTEMPTS) && !situations.has('websocket-refused')) {
    const healthy = await answers();
    if (now.call !== call || now.state !== 'reconnecting') return;
    if (healthy) {
      clear('server-gone');
      return raise('websocket-refused', { origin: location.origin });
    }
  }
  if (!situations.has('websocket-refused')) raise('server-gone', { joined: now.joined });
  return undefined;
}

/** Whether the server answers over HTTP and takes people in. */
const answers = () => fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout(3000) })
  .then((answer) => answer.ok && answer.json()).then((health) => Boolean(health && !health.draining)).catch(() => false);

function came(name, what) {
  chat.note(name, what);
  // The log is read out already where it is open.
  if (drawers.open !== 'chat') toast(`${shownName(name)} ${what}`);
  showAlone();
  showTitle();
}

// ---- sound

let lockTimer = 0;
function soundChanged(sound) {
  statistics.sound = sound;
  const { state, sampleRate = 0, baseLatencyMs = 0, outputLatencyMs = 0 } = sound;
  emit('browser.audio_context', { state, sample_rate: sampleRate, base_latency_ms: baseLatencyMs, output_latency_ms: outputLatencyMs });
  clearTimeout(lockTimer);
  if (state === 'unsupported') {
    if (isSecureContext) raise('no-webcodecs');
  } else if (state === 'running') {
    clear('autoplay-locked');
  } else if (!['closed', 'failed'].includes(state)) {
    lockTimer = setTimeout(() => now.call && raise('autoplay-locked'), LOCK_MS);
  }
}

async function unlock() {
  if (situations.has('autoplay-locked') && await now.call?.resumeAudio()) clear('autoplay-locked');
}

// ---- what the person does

const actions = {
  mute: () => {
    now.muted = !now.muted;
    now.call.setMuted(now.muted);
    room.setMuted(now.stream, now.muted);
    if (now.muted) room.setSpeaking(now.stream, false);
    showControls();
    showTitle();
  },
  camera: () => (now.camera ? gear.stopCamera() : gear.startCamera()),
  deafen: () => {
    now.deafened = !now.deafened;
    now.call.setDeafened(now.deafened);
    showControls();
  },
  chat: () => drawers.toggle('chat'),
  stats: () => drawers.toggle('stats'),
  settings: () => drawers.toggle('settings'),
  ascii: () => {
    now.ascii = !now.ascii;
    room.ascii = now.ascii;
    remember({ ascii: now.ascii });
    showControls();
  },
  leave: () => leave(),
  close: () => drawers.close(),
};

function say(text) {
  if (now.state !== 'joined') {
    toast('Not sent: there is no connection.');
    return false;
  }
  now.call.say(text);
  chat.add({ from: now.name, text, own: true });
  return true;
}

function tryAgain() {
  const word = situations.current?.word;
  if (['server-gone', 'websocket-refused'].includes(word)) now.call?.wake();
  else if (now.call) gear.startMicrophone();
  else lobby.checkMicrophone();
}

// ---- what happens around the page

let networkTimer = 0;
function networkChanged() {
  now.call?.wake();
  raise('network-changed');
  clearTimeout(networkTimer);
  networkTimer = setTimeout(() => clear('network-changed'), NOTE_MS * 2);
}

addEventListener('offline', () => raise('offline'));
addEventListener('online', () => {
  clear('offline');
  networkChanged();
});
navigator.connection?.addEventListener('change', () => navigator.onLine && now.call && networkChanged());
document.addEventListener('visibilitychange', () => {
  if (document.hidden && now.call) return raise('background');
  clear('background');
  return now.call?.wake();
});
document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
  if (['connect-src', 'worker-src'].includes(effectiveDirective)) raise('blocked-by-policy', { directive: effectiveDirective });
});
setInterval(showCountdown, 250);

$('unlock').addEventListener('click', unlock);
document.addEventListener('pointerdown', unlock);
$('situation-action').addEventListener('click', tryAgain);
$('situation-close').addEventListener('click', () => clear(situations.current?.word));
for (const [id, action] of [['mute', 'mute'], ['camera-toggle', 'camera'], ['deafen', 'deafen'], ['ascii-toggle', 'ascii'], ['leave', 'leave']]) {
  $(id).addEventListener('click', actions[action]);
}
$('copy').addEventListener('click', () => {
  navigator.clipboard?.writeText($('invite').textContent).then(() => toast('Link copied.'), () => toast('The browser does not let this page copy; select the link instead.'));
});
listen((action) => {
  if (document.body.dataset.view !== 'call') return false;
  if (action !== 'close' && !$('shortcuts').checked) return false;
  return actions[action]() !== false;
});

window.sidetone = {
  version: 1,
  state: () => ({
    state: now.state, situation: situations.current?.word ?? null, name: now.name, room: now.room, stream: now.stream, muted: now.muted,
    deafened: now.deafened, camera: Boolean(now.camera), participants: room.others, chat: [...chat.said],
  }),
  stats: () => (now.call ?? now.last)?.stats() ?? Promise.resolve(null),
  output: () => now.call?.output ?? null,
  pictures: () => Object.fromEntries([...now.pictures].map(([name, jpeg]) => [name, base64(jpeg)])),
};

function base64(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

room.ascii = now.ascii;
showControls();
view('lobby');
if (!allowed()) raise('insecure-origin', { origin: location.origin, port: location.port ? `:${location.port}` : '' });
if (query.has('join') && !nameError(lobby.values.name, 'name') && !nameError(lobby.values.room, 'room')) join();
