// What the page shows of the call, beside the pictures: what is the case, controls, title, passing notes.

import { emit, now, room } from './now.js';
import { Situations } from './situations.js';
import { shownName } from './text.js';

const $ = (id) => document.getElementById(id);
/** How long a passing note stays, ms. */
export const NOTE_MS = 4000;

export const situations = new Situations((situation, sentence) => emit('browser.situation', { situation, sentence }));

export function raise(word, details) {
  situations.raise(word, details);
  showSituation();
}

export function clear(...words) {
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

export function showLink() {
  const lostIt = now.state === 'reconnecting';
  $('link').classList.toggle('lost', lostIt);
  $('room-area').classList.toggle('stale', lostIt);
  $('link-text').textContent = { joined: 'connected', connecting: 'connecting', reconnecting: 'reconnecting' }[now.state] ?? '';
  showCountdown();
  showTitle();
}

export function showCountdown() {
  const waiting = now.state === 'reconnecting' && ['server-gone', 'websocket-refused'].includes(situations.current?.word);
  const seconds = Math.ceil((now.retryAt - performance.now()) / 1000);
  const text = !waiting ? '' : seconds > 0 ? `Next try in ${seconds} s.` : 'Trying…';
  if ($('countdown').textContent !== text) $('countdown').textContent = text;
}

export function showControls() {
  const pressed = { 'mute': now.muted, 'camera-toggle': Boolean(now.camera), 'deafen': now.deafened, 'ascii-toggle': now.ascii };
  for (const [id, on] of Object.entries(pressed)) $(id).setAttribute('aria-pressed', String(on));
}

export function showAlone() {
  $('alone').hidden = room.others.length > 0;
}

export function showUnread(count) {
  now.unread = count;
  $('unread').hidden = count === 0;
  $('unread-count').textContent = count > 99 ? '99+' : String(count);
  showTitle();
}

export function showTitle() {
  const parts = [shownName($('server').textContent), 'Sidetone'];
  if (document.body.dataset.view === 'call') {
    const others = room.others.length;
    parts.unshift(shownName(now.room), now.state === 'reconnecting' ? 'reconnecting' : now.muted ? 'muted' : others === 0 ? 'alone' : others === 1 ? 'with 1 other' : `with ${others} others`);
  }
  const title = (now.unread > 0 ? `(${now.unread}) ` : '') + parts.join(' · ');
  if (document.title !== title) document.title = title;
}

let toastTimer = 0;
export function toast(text) {
  $('toast').textContent = text;
  $('toast').classList.add('on');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    $('toast').classList.remove('on');
    $('toast').textContent = '';
  }, NOTE_MS);
}
