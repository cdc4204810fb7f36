// Microphones, cameras and speakers of this browser.

import { MAX_HEIGHT, MAX_WIDTH } from './wire.js';

let report = () => {};
/** `tell(fields)` is called for each microphone or camera that was asked for (the fields of `browser.capture`). */
export const onCapture = (tell) => { report = tell; };

/** Whether the browser lets this page have devices at all: it does so on https and on localhost. */
export const allowed = () => isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);

/** Asks for a microphone. Returns `{ track }` or `{ error }` (name of the exception). Never throws. */
export function openMicrophone(id, cleanup) {
  return open('microphone', {
    audio: {
      ...exactly(id), channelCount: { ideal: 1 }, echoCancellation: cleanup, noiseSuppression: cleanup, autoGainControl: cleanup,
    },
  });
}

/** Asks for a camera, as `openMicrophone`; for no more than is sent, since every frame taken costs. */
export function openCamera(id) {
  return open('camera', { video: { ...exactly(id), width: { ideal: MAX_WIDTH }, height: { ideal: MAX_HEIGHT }, frameRate: { ideal: 15, max: 30 } } });
}

const exactly = (id) => (id ? { deviceId: { exact: id } } : {});

async function open(device, constraints) {
  try {
    const track = await request(constraints);
    const { sampleRate = null, channelCount = null } = track.getSettings();
    report({ device, granted: true, error: null, label: track.label, sample_rate: sampleRate, channels: channelCount });
    return { track };
  } catch (exception) {
    report({ device, granted: false, error: exception.name, label: '', sample_rate: null, channels: null });
    return { error: exception.name };
  }
}

async function request(constraints) {
  if (!allowed()) throw new DOMException('not in this context', 'SecurityError');
  try {
    return (await navigator.mediaDevices.getUserMedia(constraints)).getTracks()[0];
  } catch (exception) {
    // The device remembered from last time is not plugged in now: any other is better than none.
    const kind = constraints.audio ? 'audio' : 'video';
    if (exception.name !== 'OverconstrainedError' || !constraints[kind].deviceId) throw exception;
    const { deviceId: _, ...rest } = constraints[kind];
    return (await navigator.mediaDevices.getUserMedia({ [kind]: rest })).getTracks()[0];
  }
}

/** Fills a `<select>` with the devices of a kind, after its fixed options; keeps what was chosen. */
export function fillSelect(select, devices, chosen) {
  for (const option of select.querySelectorAll('option[data-device]')) option.remove();
  for (const { deviceId, label } of devices) {
    // Without permission there is neither; "default" is what the first option says already.
    if (!deviceId || deviceId === 'default' || deviceId === 'communications' || !label) continue;
    const option = new Option(label, deviceId);
    option.dataset.device = '';
    select.append(option);
  }
  if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
}

/** All devices by kind: `{ audioinput, videoinput, audiooutput }`. */
export async function list() {
  const found = { audioinput: [], videoinput: [], audiooutput: [] };
  const devices = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
  for (const device of devices) found[device.kind]?.push(device);
  return found;
}
