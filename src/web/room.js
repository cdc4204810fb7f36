// The participants and their pictures.

import { Screen } from './ascii.js';
import { layout } from './grid.js';
import { drawLine } from './line.js';
import { hueOfName, shownName } from './text.js';
import { jpegSize } from './wire.js';

/** Between two drawings of the grid: pictures that come in this time are drawn together. */
const PACE_MS = 50;
const LINE_PACE_MS = 90;
const CAPTION = 36;
const GAP = 12;
const EDGE = 3;
/** A picture older than this is no longer shown. A tab in the background sends one a second. */
const STALE_MS = 6000;

function element(tag, className, properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  made.className = className;
  return made;
}

/** A picture to draw and to close. Making a Blob of each costs more than all the rest, so only where nothing else works. */
async function decoded(data) {
  const type = 'image/jpeg';
  if (!globalThis.ImageDecoder) return createImageBitmap(new Blob([data], { type }));
  const decoder = new ImageDecoder({ data, type });
  try {
    return (await decoder.decode()).image;
  } finally {
    decoder.close();
  }
}

/** The grid. Only what changed is drawn, at animation frames, and nothing while the tab is hidden. */
export class Room {
  #grid;
  #tiles = new Map();
  #ascii = true;
  #scheduled = false;
  #last = 0;

  constructor(grid) {
    this.#grid = grid;
    new ResizeObserver(() => this.#arrange()).observe(grid);
    setInterval(() => this.#forget(), 1000);
    document.addEventListener('visibilitychange', () => {
      for (const tile of this.#tiles.values()) this.#decode(tile);
      this.#schedule();
    });
  }

  /** Pictures as glyphs, or plain. */
  set ascii(on) {
    this.#ascii = on;
    for (const tile of this.#tiles.values()) this.#touch(tile);
  }

  /** Somebody is here (or is told of again). `own`: this person. */
  add({ stream, name, muted = false, own = false }) {
    const known = this.#tiles.get(stream);
    if (known?.name === name) return this.setMuted(stream, muted);
    this.remove(stream);
    const canvas = element('canvas', '');
    canvas.setAttribute('role', 'img');
    const screen = element('div', 'screen');
    screen.append(canvas);
    const caption = element('div', 'caption');
    caption.append(element('bdi', 'name', { dir: 'auto', textContent: shownName(name), title: shownName(name) }));
    if (own) caption.append(element('span', 'tag', { textContent: 'you' }));
    caption.append(element('span', 'tag off', { textContent: 'muted' }), element('span', 'tag voice', { textContent: 'speaking' }));
    const item = element('li', own ? 'tile own' : 'tile');
    item.dataset.stream = stream;
    item.dataset.name = name;
    item.append(screen, caption);
    const tile = { stream, name, own, item, screen: new Screen(canvas), canvas, hue: hueOfName(name) };
    this.#tiles.set(stream, tile);
    if (own) this.#grid.prepend(item);
    else this.#grid.append(item);
    this.setMuted(stream, muted);
    this.#label(tile);
    this.#arrange();
  }

  /** Somebody is gone. */
  remove(stream) {
    const tile = this.#tiles.get(stream);
    if (!tile) return;
    this.#tiles.delete(stream);
    this.#show(tile, null);
    tile.gone = true;
    tile.item.remove();
    this.#arrange();
  }

  /** Only these are here: `others` of a welcome, and this person with the stream `own`. */
  reset(own, others) {
    const streams = new Set([own.stream, ...others.map(({ stream }) => stream)]);
    for (const stream of [...this.#tiles.keys()]) if (!streams.has(stream)) this.remove(stream);
    this.add({ ...own, own: true });
    for (const other of others) this.add(other);
  }

  /** Nobody. */
  clear() {
    for (const stream of [...this.#tiles.keys()]) this.remove(stream);
  }

  setMuted(stream, muted) {
    this.#tiles.get(stream)?.item.classList.toggle('muted', muted);
  }

  /** Whether a stream's owner is heard now. */
  setSpeaking(stream, on) {
    const tile = this.#tiles.get(stream);
    if (!tile || tile.item.classList.contains('speaking') === on) return;
    tile.item.classList.toggle('speaking', on);
    if (!tile.bitmap && !tile.live) this.#touch(tile);
  }

  /** All others: `[{ stream, name, muted, speaking }]`. */
  get others() {
    const has = (tile, name) => tile.item.classList.contains(name);
    return [...this.#tiles.values()].filter((tile) => !tile.own)
      .map((tile) => ({ stream: tile.stream, name: tile.name, muted: has(tile, 'muted'), speaking: has(tile, 'speaking') }));
  }

  /** Somebody's name as it came, or null. */
  nameOf(stream) {
    return this.#tiles.get(stream)?.name ?? null;
  }

  /** A picture of somebody. The latest wins; what is none is skipped. */
  picture(stream, jpeg) {
    const tile = this.#tiles.get(stream);
    if (!tile) return;
    tile.pending = jpeg;
    tile.heard = performance.now();
    this.#decode(tile);
  }

  /** A picture of this person, straight from the camera; null: the camera is off. */
  ownPicture(stream, canvas, width, height) {
    const tile = this.#tiles.get(stream);
    if (!tile) return;
    const before = Boolean(tile.live);
    tile.live = canvas && { source: canvas, width, height };
    if (before !== Boolean(canvas)) this.#label(tile);
    this.#touch(tile);
  }

  async #decode(tile) {
    if (tile.decoding || document.hidden) return;
    tile.decoding = true;
    while (tile.pending && !tile.gone) {
      const jpeg = tile.pending;
      tile.pending = null;
      try {
        if (!jpegSize(jpeg)) throw new TypeError('no JPEG of at most 320x240');
        this.#show(tile, await decoded(jpeg));
      } catch (error) {
        // Once: a peer that sends nonsense does so fifteen times a second.
        if (!tile.warned) console.warn(`Pictures of ${shownName(tile.name)} are skipped: ${error.message}`);
        tile.warned = true;
      }
    }
    tile.decoding = false;
  }

  #show(tile, bitmap) {
    const before = tile.bitmap;
    tile.bitmap?.close();
    if (tile.gone) {
      bitmap?.close();
      bitmap = null;
    }
    tile.bitmap = bitmap;
    if (!before && bitmap) this.#label(tile);
    if (bitmap) this.#touch(tile);
  }

  // Nobody says that a camera was switched off: its pictures just end.
  #forget() {
    for (const tile of this.#tiles.values()) {
      if (!tile.bitmap || performance.now() - tile.heard < STALE_MS) continue;
      this.#show(tile, null);
      this.#label(tile);
      this.#touch(tile);
    }
  }

  #label(tile) {
    const name = tile.own ? 'you' : shownName(tile.name);
    tile.canvas.setAttribute('aria-label', tile.bitmap || tile.live ? `Picture of ${name}` : `No picture of ${name}`);
  }

  #touch(tile) {
    tile.dirty = true;
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled || document.hidden) return;
    this.#scheduled = true;
    setTimeout(() => requestAnimationFrame((now) => {
      this.#scheduled = false;
      this.#last = now;
      this.#draw(now);
    }), Math.max(0, this.#last + PACE_MS - performance.now() - 16));
  }

  #draw(now) {
    for (const tile of this.#tiles.values()) {
      if (!tile.dirty) continue;
      tile.dirty = false;
      tile.canvas.parentElement.classList.toggle('plain', !this.#ascii);
      const { bitmap, live } = tile;
      const ascii = this.#ascii;
      if (live) tile.screen.draw(live.source, live.width, live.height, { ascii, mirrored: true });
      else if (bitmap) tile.screen.draw(bitmap, bitmap.displayWidth ?? bitmap.width, bitmap.displayHeight ?? bitmap.height, { ascii });
      else this.#drawLine(tile, now);
    }
  }

  #drawLine(tile, now) {
    const speaking = tile.item.classList.contains('speaking');
    drawLine(tile.screen, { hue: tile.hue, energy: speaking ? 0.7 : 0.05, phase: now / 1000, ascii: this.#ascii });
    if (!speaking) return;
    tile.next ??= setTimeout(() => {
      tile.next = null;
      this.#touch(tile);
    }, LINE_PACE_MS);
  }

  #arrange() {
    const { clientWidth: width, clientHeight: height } = this.#grid;
    if (width === 0) return;
    const { across, tile } = layout(this.#tiles.size, width - 2 * EDGE, height - 2 * EDGE, { gap: GAP, caption: CAPTION });
    this.#grid.style.setProperty('--tile', `${tile}px`);
    // Or a row would take one more than is meant, where it is wide enough.
    this.#grid.style.paddingInline = `${Math.max(EDGE, Math.floor((width - across * tile - (across - 1) * GAP) / 2))}px`;
    for (const each of this.#tiles.values()) this.#touch(each);
    // To be scrolled by keys, and no stop on the way of the tab key where nothing scrolls.
    if (this.#grid.scrollHeight > this.#grid.clientHeight + 1) this.#grid.tabIndex = 0;
    else this.#grid.removeAttribute('tabindex');
  }
}
