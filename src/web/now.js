// What the page knows of this person's call. Shared by everything that shows or changes it.

import { Room } from './room.js';
import { settings } from './settings.js';

/** `call` and everything that belongs to it; `last` is the call before, for its last figures. */
export const now = {
  call: null, last: null, state: 'lobby', name: '', room: '', stream: 0, joined: false, opened: false, muted: false, deafened: false,
  microphone: null, camera: null, ascii: settings.ascii !== false, unread: 0, retryAt: 0, pictures: new Map(),
};

/** The participants' pictures. */
export const room = new Room(document.getElementById('grid'));

/** Tells whoever drives or watches the page, see `window.sidetone`. */
export const emit = (event, fields) => dispatchEvent(new CustomEvent('sidetone:event', { detail: { event, fields } }));
