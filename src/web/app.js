// The page: the lobby, the call, and what happens in between.

import { Call } from './call.js';
import { Camera } from './camera.js';
import { onCapture, openCamera, openMicrophone, allowed } from './devices.js';
import { listen } from './keys.js';
import { Lobby } from './lobby.js';
import { Chat, Drawers, Statistics } from './panel.js';
import { Room } from './room.js';
import { SITUATIONS, Situations, microphoneSituation, refusalSituation } from './situations.js';
import { nameError, shownName } from './text.js';

const $ = (id) => document.getElementById(id);
const STORE = 'sidetone';
/** How long a passing note stays. */
const NOTE_MS = 4000;
/** Sound that is about to start is suspended for a moment too. */
const LOCK_MS = 300;
/** So many attempts after a call that worked, nobody asks whether HTTP still does. */
const PATIENT_ATTEMPTS = 5;
const CONNECTION_SITUATIONS = ['server-gone', 'websocket-refused', 'blocked-by-policy', 'server-full', 'name-taken', 'refused', 'network-changed'];

const query = new URLSearchParams(location.search);
const settings = { ...remembered(), ...asked() };
const emit = (event, fields) => dispatchEvent(new CustomEvent('sidetone:event', { detail: { event, fields } }));

onCapture((fields) => emit('browser.capture', fields));

const now = {
  call: null, last: null, state: 'lobby', name: '', room: '', stream: 0, joined: false, opened: false, muted: false, deafened: false,
  microphone: null, camera: null, ascii: settings.ascii !== false, unread: 0, retryAt: 0, pictures: new Map(),
};

const situations = new Situations((situation, sentence) => emit('browser.situation', { situation, sentence }));
const room = new Room($('grid'));
const chat = new Chat({ say, unread: showUnread });
const statistics = new Statistics(() => now.call?.stats() ?? Promise.resolve(null));
const drawers = new Drawers({
  chat: { focus: $('chat-input'), changed: (open) => chat.changed(open) },
  stats: { focus: $('stats-title'), changed: (open) => statistics.changed(open) },
});
const lobby = new Lobby({
  settings, join, cancel: () => leave(), failed: deviceFailed,
  opened: (device) => (device === 'camera' ? clear('no-camera') : clear('no-microphone', 'permission-denied', 'microphone-busy')),
});

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {}; // storage is off, or holds something else
  }
}

function remember(changes) {
  Object.assign(settings, changes);
  try {
    localStorage.setItem(STORE, JSON.stringify(settings));
  } catch {
    // storage is off or full: nothing is remembered
  }
}

/** What the address says beats what is remembered. */
function asked() {
  const found = {};
  for (const key of ['name', 'room']) if (query.get(key)) found[key] = query.get(key);
  if (query.get('mic') === 'off') found.microphone = 'none';
  if (query.get('camera') === 'off') found.camera = 'none';
  if (query.get('cleanup') === 'off') found.cleanup = false;
  return found;
}

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
  if (now.microphone) watchMicrophone();
  else if (chosen.microphone !== 'none' && allowed()) await startMicrophone();
  if (chosen.camera !== 'none' && allowed() && now.call === call) await startCamera();
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
  stopCamera();
  now.microphone?.stop();
  Object.assign(now, { microphone: null, state: 'lobby', stream: 0, retryAt: 0 });
  clear('server-gone', 'websocket-refused', 'autoplay-locked', 'no-webcodecs', 'no-camera', 'network-changed');
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
  // Its last words too, when another call is already on.
  call.addEventListener('log', ({ detail: { event, fields } }) => {
    if (now.call === call && ['client.connecting', 'client.connected'].includes(event)) now.opened = event === 'client.connected';
    emit(event, fields);
  });
}

function stateChanged({ state, reason = '', code, retryInMs = 0, attempt = 1 }) {
  now.state = state;
  if (state === 'joined') {
    now.retryAt = 0;
    clear(...CONNECTION_SITUATIONS, 'offline');
    if (now.joined) toast('You are back in the call.');
    now.joined = true;
    view('call');
  } else if (state === 'reconnecting') {
    now.retryAt = performance.now() + retryInMs;
    if (retryInMs > 0) lost(attempt);
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
async function lost(attempt) {
  const { call, opened } = now;
  // A server that was here a moment ago is looked for by the call itself; this question would only add noise.
  if (!opened && (!now.joined || attempt > PATIENT_ATTEMPTS) && !situations.has('websocket-refused')) {
    const healthy = await fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout(3000) })
      .then((answer) => answer.ok && answer.json()).then((health) => health && !health.draining).catch(() => false);
    if (now.call !== call || now.state !== 'reconnecting') return;
    if (healthy) {
      clear('server-gone');
      return raise('websocket-refused', { origin: location.origin });
    }
  }
  if (!situations.has('websocket-refused')) raise('server-gone', { joined: now.joined });
}

function came(name, what) {
  chat.note(name, what);
  // The log is read out already where it is open.
  if (drawers.open !== 'chat') toast(`${shownName(name)} ${what}`);
  showAlone();
  showTitle();
}

// ---- microphone and camera

async function startMicrophone() {
  const call = now.call;
  const { microphone, cleanup } = lobby.values;
  const { track, error } = await openMicrophone(microphone, cleanup);
  if (now.call !== call || !call) return track?.stop();
  if (!track) return deviceFailed('microphone', error);
  clear('no-microphone', 'permission-denied', 'microphone-busy');
  now.microphone = track;
  call.setMicrophone(track);
  watchMicrophone();
  return lobby.refresh();
}

/** A microphone that is pulled out: the next best takes over, or the person is told. */
function watchMicrophone() {
  const { microphone, call } = now;
  microphone.addEventListener('ended', async () => {
    if (now.microphone !== microphone || now.call !== call) return;
    now.microphone = null;
    call.setMicrophone(null);
    deviceFailed('microphone', 'ended');
    $('microphone').value = '';
    await startMicrophone();
    if (now.microphone) toast(`Now using ${now.microphone.label || 'another microphone'}`);
  });
}

async function startCamera() {
  const call = now.call;
  if ($('camera').value === 'none') $('camera').value = '';
  const { track, error } = await openCamera($('camera').value);
  if (now.call !== call || !call || now.camera) return track?.stop();
  if (!track) return deviceFailed('camera', error);
  clear('no-camera');
  track.addEventListener('ended', () => {
    stopCamera();
    deviceFailed('camera', 'ended');
  });
  now.camera = new Camera(track, {
    picture: (canvas, width, height) => room.ownPicture(now.stream, canvas, width, height),
    jpeg: (bytes) => now.state === 'joined' && call.sendPicture(bytes),
  });
  showControls();
  return lobby.refresh();
}

function stopCamera() {
  now.camera?.stop();
  now.camera = null;
  room.ownPicture(now.stream, null);
  showControls();
}

function deviceFailed(device, error) {
  if (device === 'camera') raise('no-camera', { error });
  else raise(microphoneSituation(error), { unplugged: error === 'ended' });
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
  } else if (state !== 'closed') {
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
  camera: () => (now.camera ? stopCamera() : startCamera()),
  deafen: () => {
    now.deafened = !now.deafened;
    now.call.setDeafened(now.deafened);
    showControls();
  },
  chat: () => drawers.toggle('chat'),
  stats: () => drawers.toggle('stats'),
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
  else if (now.call) startMicrophone();
  else lobby.checkMicrophone();
}

// ---- showing

function raise(word, details) {
  situations.raise(word, details);
  showSituation();
}

function clear(...words) {
  situations.clear(...words);
  showSituation();
}

function showSituation() {
  const current = situations.current;
  const shown = current && !current.quiet ? current : null;
  $('notice').hidden = !shown;
  $('notice').classList.toggle('bad', Boolean(shown?.alert) && shown.word !== 'autoplay-locked');
  $('situation').dataset.situation = current?.word ?? '';
  const role = shown?.alert ? 'alert' : 'status';
  if ($('situation').getAttribute('role') !== role) $('situation').setAttribute('role', role);
  if ($('situation').textContent !== (shown?.sentence ?? '')) $('situation').textContent = shown?.sentence ?? '';
  $('unlock').hidden = !situations.has('autoplay-locked');
  $('situation-action').hidden = !shown?.action;
  $('situation-action').textContent = shown?.action ?? '';
  $('situation-close').hidden = ['server-gone', 'websocket-refused', 'autoplay-locked'].includes(shown?.word);
  showLink();
}

function showLink() {
  const lostIt = now.state === 'reconnecting';
  $('link').classList.toggle('lost', lostIt);
  $('room-area').classList.toggle('stale', lostIt);
  $('link-text').textContent = { joined: 'connected', connecting: 'connecting', reconnecting: 'reconnecting' }[now.state] ?? '';
  showCountdown();
  showTitle();
}

function showCountdown() {
  const waiting = now.state === 'reconnecting' && ['server-gone', 'websocket-refused'].includes(situations.current?.word);
  const seconds = Math.ceil((now.retryAt - performance.now()) / 1000);
  const text = !waiting ? '' : seconds > 0 ? `Next try in ${seconds} s.` : 'Trying…';
  if ($('countdown').textContent !== text) $('countdown').textContent = text;
}

function showControls() {
  const pressed = { 'mute': now.muted, 'camera-toggle': Boolean(now.camera), 'deafen': now.deafened, 'ascii-toggle': now.ascii };
  for (const [id, on] of Object.entries(pressed)) $(id).setAttribute('aria-pressed', String(on));
}

function showAlone() {
  $('alone').hidden = room.others.length > 0;
}

function showUnread(count) {
  now.unread = count;
  $('unread').hidden = count === 0;
  $('unread').textContent = count > 99 ? '99+' : String(count);
  if (count > 0) $('chat-toggle').setAttribute('aria-label', `Chat, ${count} unread`);
  else $('chat-toggle').removeAttribute('aria-label');
  showTitle();
}

function showTitle() {
  const parts = [shownName($('server').textContent), 'Sidetone'];
  if (document.body.dataset.view === 'call') {
    const others = room.others.length;
    parts.unshift(shownName(now.room), now.state === 'reconnecting' ? 'reconnecting' : now.muted ? 'muted' : others === 0 ? 'alone' : others === 1 ? 'with 1 other' : `with ${others} others`);
  }
  const title = (now.unread > 0 ? `(${now.unread}) ` : '') + parts.join(' · ');
  if (document.title !== title) document.title = title;
}

let toastTimer = 0;
function toast(text) {
  $('toast').textContent = text;
  $('toast').classList.add('on');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    $('toast').classList.remove('on');
    $('toast').textContent = '';
  }, NOTE_MS);
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
$('shortcuts').checked = settings.shortcuts !== false;
$('shortcuts').addEventListener('change', () => remember({ shortcuts: $('shortcuts').checked }));
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
