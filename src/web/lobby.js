// Before the call: who, where, with which devices, and a look at oneself.

import { Screen } from './ascii.js';
import { Camera } from './camera.js';
import { allowed, fillSelect, list, openCamera, openMicrophone } from './devices.js';
import { drawLine } from './line.js';
import { nameError } from './text.js';

const $ = (id) => document.getElementById(id);
/** Quietest level that the meter shows, in dBFS. */
const FLOOR_DB = -60;
const LINE_HUE = 38;
const LINE_PACE_MS = 50;

/** Share of the meter for samples from -1 to 1: 0 at or below -60 dBFS, 1 at full scale. PURE. */
export function meter(samples) {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  const db = 10 * Math.log10(energy / Math.max(samples.length, 1) + 1e-12);
  return Math.min(Math.max(1 - db / FLOOR_DB, 0), 1);
}

/** The form. `failed(device, error)` and `opened(device)` tell what became of a device that was asked for. */
export class Lobby {
  #screen = new Screen($('preview').querySelector('canvas'));
  #microphone = null; // { track, context, analyser }
  #camera = null;
  #level = 0;
  #settings;
  #timer = 0;
  #size = new ResizeObserver(() => this.#drawIdle());

  constructor({ settings, join, cancel, failed, opened }) {
    this.#settings = settings;
    this.failed = failed;
    this.opened = opened;
    $('name').value = settings.name ?? '';
    $('room').value = settings.room ?? 'lobby';
    $('cleanup').checked = settings.cleanup !== false;
    for (const device of ['microphone', 'camera', 'speaker']) if (settings[device] === 'none') $(device).value = 'none';
    $('terminal').textContent = `sidetone client ${location.origin}`;
    $('devices').hidden = $('promise').hidden = $('under').hidden = !allowed();
    $('lobby').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.check()) join();
    });
    $('cancel').addEventListener('click', cancel);
    $('microphone-check').addEventListener('click', () => (this.#microphone ? this.#closeMicrophone() : this.checkMicrophone()));
    $('preview-toggle').addEventListener('click', () => (this.#camera ? this.#closeCamera() : this.#openCamera()));
    $('microphone').addEventListener('change', () => this.#microphone && this.checkMicrophone());
    $('cleanup').addEventListener('change', () => this.#microphone && this.checkMicrophone());
    $('camera').addEventListener('change', () => this.#camera && this.#openCamera());
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.refresh());
    this.refresh();
  }

  /** Shows the form; the line begins to move. */
  show() {
    this.#size.observe($('preview'));
    this.#timer ||= setInterval(() => this.#tick(), LINE_PACE_MS);
  }

  /** Hides it and returns the microphone's track if it is open; the caller owns it from then on. */
  handOver() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#size.disconnect();
    this.#closeCamera();
    const track = this.#microphone?.track ?? null;
    this.#closeMicrophone({ keep: true });
    return track;
  }

  /** What was chosen. */
  get values() {
    return {
      name: $('name').value.trim(), room: $('room').value.trim(), microphone: $('microphone').value, camera: $('camera').value,
      speaker: $('speaker').value, cleanup: $('cleanup').checked,
    };
  }

  /** Whether name and room are fine; if not, says why and puts the focus there. */
  check() {
    for (const id of ['name', 'room']) {
      const error = nameError(this.values[id], id);
      this.invalid(id, error);
      if (error) return false;
    }
    return true;
  }

  /** Marks a field as wrong, with the reason under the heading; `null` takes the mark away. */
  invalid(id, error) {
    $('lobby-error').textContent = error ?? '';
    for (const field of ['name', 'room']) $(field).removeAttribute('aria-invalid');
    if (!error) return;
    $(id).setAttribute('aria-invalid', 'true');
    $(id).setAttribute('aria-describedby', 'lobby-error');
    $(id).focus();
    $(id).select();
  }

  /** While a connection is made. */
  busy(on) {
    $('join').setAttribute('aria-disabled', String(on));
    $('join').textContent = on ? 'Joining…' : 'Join';
    $('cancel').hidden = !on;
  }

  /** Reads the list of devices again: labels appear with the permission. */
  async refresh() {
    const found = await list();
    const chosen = { ...this.#settings, ...Object.fromEntries(['microphone', 'camera', 'speaker'].map((id) => [id, $(id).value]).filter(([, v]) => v)) };
    fillSelect($('microphone'), found.audioinput, chosen.microphone);
    fillSelect($('camera'), found.videoinput, chosen.camera);
    fillSelect($('speaker'), found.audiooutput, chosen.speaker);
    $('speaker-field').hidden = !('setSinkId' in (globalThis.AudioContext?.prototype ?? {}));
  }

  /** Opens the chosen microphone and shows its level. */
  async checkMicrophone() {
    if ($('microphone').value === 'none') $('microphone').value = '';
    this.#closeMicrophone();
    // Made in the click, so that it may run.
    const context = globalThis.AudioContext ? new AudioContext() : null;
    const { microphone, cleanup } = this.values;
    const { track, error } = await openMicrophone(microphone, cleanup);
    if (!track || !context) {
      context?.close();
      return this.failed('microphone', error);
    }
    const analyser = new AnalyserNode(context, { fftSize: 1024 });
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    this.#microphone = { track, context, analyser, samples: new Float32Array(1024) };
    track.addEventListener('ended', () => {
      this.#closeMicrophone();
      this.failed('microphone', 'ended');
    });
    $('microphone-check').setAttribute('aria-pressed', 'true');
    $('level-hint').textContent = 'Say something: the line moves when you are heard.';
    this.opened('microphone');
    return this.refresh();
  }

  #closeMicrophone({ keep = false } = {}) {
    if (!keep) this.#microphone?.track.stop();
    this.#microphone?.context.close();
    this.#microphone = null;
    this.#level = 0;
    $('microphone-check').setAttribute('aria-pressed', 'false');
    $('level-hint').textContent = 'This is your line. Check the microphone, say something, and it moves.';
  }

  async #openCamera() {
    if ($('camera').value === 'none') $('camera').value = '';
    this.#closeCamera();
    const { track, error } = await openCamera($('camera').value);
    if (!track) return this.failed('camera', error);
    this.#camera = new Camera(track, { picture: (canvas, width, height) => this.#screen.draw(canvas, width, height, { ascii: true, mirrored: true }) });
    track.addEventListener('ended', () => {
      this.#closeCamera();
      this.failed('camera', 'ended');
    });
    this.#label('Your camera, as the others may see it');
    $('preview-toggle').setAttribute('aria-pressed', 'true');
    this.opened('camera');
    return this.refresh();
  }

  #closeCamera() {
    this.#camera?.stop();
    this.#camera = null;
    $('preview-toggle').setAttribute('aria-pressed', 'false');
    this.#label('Your line: it moves with your voice');
    this.#drawIdle();
  }

  #label(text) {
    $('preview').querySelector('canvas').setAttribute('aria-label', text);
  }

  #tick() {
    if (document.hidden) return;
    let level = 0;
    if (this.#microphone) {
      this.#microphone.analyser.getFloatTimeDomainData(this.#microphone.samples);
      level = meter(this.#microphone.samples);
    }
    const before = this.#level;
    // Rises at once, falls slowly: the eye reads a jumping line as noise.
    this.#level = Math.max(level, before * 0.85 - 0.005, 0);
    $('level').firstElementChild.style.setProperty('--level', this.#level.toFixed(3));
    $('level').setAttribute('aria-valuenow', String(Math.round(this.#level * 100)));
    if (!this.#camera && (this.#level > 0 || before > 0)) this.#drawIdle();
  }

  #drawIdle() {
    if (this.#camera) return;
    // Never quite flat, as a line that is live.
    const energy = Math.max(0.08, this.#level ** 1.5 * 1.3);
    const { clientWidth, clientHeight } = $('preview');
    if (clientHeight > 0) drawLine(this.#screen, { hue: LINE_HUE, energy, phase: performance.now() / 1000, ascii: true, aspect: clientWidth / clientHeight });
  }
}
