// What lies beside the grid, one at a time: chat, statistics, settings.

import { safe, shownName } from './text.js';

const $ = (id) => document.getElementById(id);
/** Messages kept; older ones go. */
const MAX_MESSAGES = 500;
const PACE_MS = 1000;

/** One of the drawers is open, or none. The focus goes in when it opens, and back to where it was when it closes. */
export class Drawers {
  #open = null;
  #back = null;
  #entries;

  /** `entries`: by name `{ focus: element, changed(open) }`. The drawer is `#name`, its button `#name-toggle`. */
  constructor(entries) {
    this.#entries = entries;
    for (const name of Object.keys(entries)) {
      $(`${name}-toggle`).addEventListener('click', () => this.toggle(name));
      document.querySelector(`[data-close=${name}]`).addEventListener('click', () => this.close());
    }
  }

  /** The name of the open one, or null. */
  get open() {
    return this.#open;
  }

  toggle(name) {
    if (this.#open === name) return this.close();
    const back = this.#open ? this.#back : document.activeElement;
    this.close({ focus: false });
    this.#open = name;
    this.#back = back;
    this.#set(name, true);
    this.#entries[name].focus.focus();
    return true;
  }

  /** Returns whether there was one to close. */
  close({ focus = true } = {}) {
    const name = this.#open;
    if (!name) return false;
    const inside = $(name).contains(document.activeElement);
    this.#open = null;
    this.#set(name, false);
    if (focus && inside) (this.#back?.isConnected && this.#back !== document.body ? this.#back : $(`${name}-toggle`)).focus();
    return true;
  }

  #set(name, open) {
    $(name).hidden = !open;
    $(`${name}-toggle`).setAttribute('aria-expanded', String(open));
    $(`${name}-toggle`).setAttribute('aria-pressed', String(open));
    this.#entries[name].changed(open);
  }
}

/** The messages. `say(text)` returns whether it could be sent. `unread(count)` is called when the number changes. */
export class Chat {
  #unread = 0;
  #unreadChanged;
  /** All that was said in this call: `[{ from, text }]`, as it came. */
  said = [];
  open = false;

  constructor({ say, unread }) {
    this.#unreadChanged = unread;
    $('chat-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const text = $('chat-input').value.trim();
      if (text && say(text)) $('chat-input').value = '';
      $('chat-input').focus();
    });
  }

  /** Somebody said something. */
  add({ from, text, own = false }) {
    this.said.push({ from, text });
    const item = document.createElement('p');
    const who = Object.assign(document.createElement('bdi'), { className: 'from', dir: 'auto', textContent: shownName(from) });
    const now = new Date();
    const when = Object.assign(document.createElement('time'), { dateTime: now.toISOString(), textContent: now.toTimeString().slice(0, 5) });
    const said = Object.assign(document.createElement('span'), { className: 'said', dir: 'auto', textContent: safe(text) });
    item.append(who, when, said);
    if (own) item.className = 'own';
    this.#append(item);
    if (!own && !this.open) this.#count(this.#unread + 1);
  }

  /** Something happened that belongs between the messages. `name` is somebody's, `what` is ours. */
  note(name, what) {
    const item = Object.assign(document.createElement('p'), { className: 'note' });
    item.append(Object.assign(document.createElement('bdi'), { dir: 'auto', textContent: shownName(name) }), ` ${what}`);
    this.#append(item);
  }

  /** A call is over. */
  clear() {
    this.said = [];
    $('chat-log').replaceChildren();
    this.#count(0);
  }

  /** The drawer opened or closed. */
  changed(open) {
    this.open = open;
    if (open) {
      this.#count(0);
      $('chat-log').scrollTop = $('chat-log').scrollHeight;
    }
  }

  #append(item) {
    const log = $('chat-log');
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
    log.append(item);
    if (log.children.length > MAX_MESSAGES) log.firstElementChild.remove();
    if (atEnd || item.className === 'own') log.scrollTop = log.scrollHeight;
  }

  #count(unread) {
    this.#unread = unread;
    this.#unreadChanged(unread);
  }
}

const of = (report, id) => report?.stats?.find((entry) => entry.id === id) ?? {};
const number = (value, digits, unit) => (Number.isFinite(value) ? `${value.toFixed(digits)} ${unit}` : '–');

/**
 * What the panel shows of two reports a while apart (the first may be null): `[[term, figure]]`. `sound`: the last `audio`
 * event; `secure`: over TLS. PURE.
 */
export function figures(before, report, sound = {}, secure = false) {
  const [transport, audio, earlier] = [of(report, 'transport'), of(report, 'inbound-audio'), of(before, 'inbound-audio')];
  const seconds = (Date.parse(report.timestamp) - Date.parse(before?.timestamp)) / 1000;
  const since = (entry, past, field) => entry[field] - (past[field] ?? 0);
  const rate = (field) => (transport[field] - of(before, 'transport')[field]) * 8 / seconds / 1000;
  const buffered = since(audio, earlier, 'jitterBufferDelay') / since(audio, earlier, 'jitterBufferEmittedCount');
  const pictures = (side, count) => side.reduce((sum, entry) => sum + (entry[count] ?? 0), 0);
  const video = (from) => from?.stats?.filter(({ id }) => id.startsWith('inbound-video')) ?? [];
  const seen = (pictures(video(report), 'framesDecoded') - pictures(video(before), 'framesDecoded')) / seconds;
  const sent = (of(report, 'outbound-video').framesSent - (of(before, 'outbound-video').framesSent ?? 0)) / seconds;
  return [
    ['Transport', secure ? 'WebSocket, TLS' : 'WebSocket'],
    ['Round trip', number(transport.currentRoundTripTime * 1000, 1, 'ms')],
    ['Jitter buffer', number(buffered * 1000, 0, 'ms')],
    ['Concealed sound', number(100 * audio.concealedSamples / audio.totalSamplesReceived, 2, '%')],
    ['Bitrate up', number(rate('bytesSent'), 0, 'kb/s')],
    ['Bitrate down', number(rate('bytesReceived'), 0, 'kb/s')],
    ['Pictures sent', number(sent, 1, '/s')],
    ['Pictures seen', number(seen, 1, '/s')],
    ['Codec', of(report, 'codec').mimeType ?? '–'],
    ['Connections so far', String(report.sidetone?.connections ?? '–')],
    ['AudioContext', sound.state ? `${sound.state}, ${sound.sampleRate} Hz` : '–'],
    ['Output latency', number(sound.outputLatencyMs, 1, 'ms')],
  ];
}

/** The figures, once a second while somebody looks. */
export class Statistics {
  #timer = 0;
  #before = null;
  #read;
  /** The last `audio` event of the call. */
  sound = {};

  /** `read()` returns a promise of a report. */
  constructor(read) {
    this.#read = read;
  }

  changed(open) {
    clearInterval(this.#timer);
    this.#before = null;
    if (!open) return;
    this.#timer = setInterval(() => this.#show(), PACE_MS);
    this.#show();
  }

  async #show() {
    const report = await this.#read().catch(() => null);
    if (!report) return;
    const rows = figures(this.#before, report, this.sound, location.protocol === 'https:');
    this.#before = report;
    const list = $('figures');
    rows.forEach(([term, figure], index) => {
      let row = list.children[index];
      if (!row) {
        row = document.createElement('div');
        row.append(document.createElement('dt'), document.createElement('dd'));
        list.append(row);
      }
      row.firstElementChild.textContent = term;
      row.lastElementChild.textContent = figure;
    });
  }
}
