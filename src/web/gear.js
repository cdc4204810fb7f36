// Microphone and camera of the call.

import { Camera } from './camera.js';
import { openCamera, openMicrophone } from './devices.js';
import { now, room } from './now.js';
import { clear, raise, showControls, toast } from './show.js';
import { microphoneSituation } from './situations.js';

const $ = (id) => document.getElementById(id);

/** A device that was asked for (`error`: name of the exception) or was in use (`ended`) is not there. */
export function deviceFailed(device, error) {
  if (device === 'camera') raise('no-camera', { error });
  else raise(microphoneSituation(error), { unplugged: error === 'ended' });
}

/** A device opened: what was said of it before is over. */
export function deviceOpened(device) {
  if (device === 'camera') clear('no-camera');
  else clear('no-microphone', 'permission-denied', 'microphone-busy');
}

/** The devices while a call is on; which ones, the lobby's form says. */
export class Gear {
  #lobby;
  /** Of several changes only the last counts. */
  #turns = { microphone: 0, camera: 0 };

  constructor(lobby) {
    this.#lobby = lobby;
  }

  /** Opens the chosen microphone; the one before is sent until this one is there. Gives whether it opened. */
  async startMicrophone() {
    const { microphone, cleanup } = this.#lobby.values;
    const track = await this.#open('microphone', () => openMicrophone(microphone, cleanup));
    if (!track) return false;
    const { call, microphone: before } = now;
    now.microphone = track;
    this.watchMicrophone();
    await call.setMicrophone(track);
    before?.stop();
    return true;
  }

  stopMicrophone() {
    this.#turns.microphone += 1;
    now.call?.setMicrophone(null);
    now.microphone?.stop();
    now.microphone = null;
  }

  /** A microphone that is pulled out: the next best takes over, or the person is told. */
  watchMicrophone() {
    const { microphone, call } = now;
    microphone.addEventListener('ended', async () => {
      if (now.microphone !== microphone || now.call !== call) return;
      now.microphone = null;
      call.setMicrophone(null);
      deviceFailed('microphone', 'ended');
      $('microphone').value = '';
      if (await this.startMicrophone()) toast(`Now using ${now.microphone?.label || 'another microphone'}`);
    });
  }

  /** Opens the chosen camera in the place of the one that is on, if one is. Gives whether it opened. */
  async startCamera() {
    if ($('camera').value === 'none') $('camera').value = '';
    const track = await this.#open('camera', () => openCamera($('camera').value));
    if (!track) return false;
    const { call } = now;
    now.camera?.stop();
    const camera = new Camera(track, {
      picture: (canvas, width, height) => room.ownPicture(now.stream, canvas, width, height),
      jpeg: (bytes) => now.state === 'joined' && call.sendPicture(bytes),
    });
    now.camera = camera;
    track.addEventListener('ended', () => {
      if (now.camera !== camera) return;
      this.stopCamera();
      deviceFailed('camera', 'ended');
    });
    showControls();
    return true;
  }

  stopCamera() {
    this.#turns.camera += 1;
    now.camera?.stop();
    now.camera = null;
    room.ownPicture(now.stream, null);
    showControls();
  }

  /** The track that `open` gives, if it is still wanted when it comes. */
  async #open(device, open) {
    const { call } = now;
    const turn = (this.#turns[device] += 1);
    const { track, error } = await open();
    if (!call || now.call !== call || this.#turns[device] !== turn) {
      track?.stop();
      return null;
    }
    if (!track) {
      deviceFailed(device, error);
      return null;
    }
    deviceOpened(device);
    this.#lobby.refresh();
    return track;
  }
}
