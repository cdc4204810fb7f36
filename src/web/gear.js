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

  constructor(lobby) {
    this.#lobby = lobby;
  }

  async startMicrophone() {
    const call = now.call;
    const { microphone, cleanup } = this.#lobby.values;
    const { track, error } = await openMicrophone(microphone, cleanup);
    if (now.call !== call || !call) return track?.stop();
    if (!track) return deviceFailed('microphone', error);
    deviceOpened('microphone');
    now.microphone = track;
    call.setMicrophone(track);
    this.watchMicrophone();
    return this.#lobby.refresh();
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
      await this.startMicrophone();
      if (now.microphone) toast(`Now using ${now.microphone.label || 'another microphone'}`);
    });
  }

  async startCamera() {
    const call = now.call;
    if ($('camera').value === 'none') $('camera').value = '';
    const { track, error } = await openCamera($('camera').value);
    if (now.call !== call || !call || now.camera) return track?.stop();
    if (!track) return deviceFailed('camera', error);
    deviceOpened('camera');
    track.addEventListener('ended', () => {
      this.stopCamera();
      deviceFailed('camera', 'ended');
    });
    now.camera = new Camera(track, {
      picture: (canvas, width, height) => room.ownPicture(now.stream, canvas, width, height),
      jpeg: (bytes) => now.state === 'joined' && call.sendPicture(bytes),
    });
    showControls();
    return this.#lobby.refresh();
  }

  stopCamera() {
    now.camera?.stop();
    now.camera = null;
    room.ownPicture(now.stream, null);
    showControls();
  }
}
