// Settings during the call: other devices, at once and without leaving.

import { allowed } from './devices.js';
import { now } from './now.js';
import { remember, settings } from './settings.js';
import { toast } from './show.js';

const $ = (id) => document.getElementById(id);

/** The drawer. Its selects show what the lobby's say, which stay the ones that count. */
export class Options {
  #lobby;
  #gear;
  #open = false;

  constructor(lobby, gear) {
    this.#lobby = lobby;
    this.#gear = gear;
    $('call-devices').hidden = !allowed();
    const on = (device, act) => $(`call-${device}`).addEventListener('change', () => this.#choose(device, act));
    on('microphone', (id) => (id === 'none' ? this.#gear.stopMicrophone() : this.#gear.startMicrophone()));
    // one that is off is only chosen for when it is switched on
    on('camera', () => !now.camera || this.#gear.startCamera());
    on('speaker', async (id) => {
      const done = await now.call?.setSpeaker(id, $('call-speaker').selectedOptions[0].text);
      if (!done) toast('The browser did not switch to that speaker.');
      return done;
    });
    $('call-cleanup').addEventListener('change', () => {
      $('cleanup').checked = $('call-cleanup').checked;
      remember({ cleanup: $('cleanup').checked });
      if (now.microphone) this.#gear.startMicrophone();
    });
    $('shortcuts').checked = settings.shortcuts !== false;
    $('shortcuts').addEventListener('change', () => remember({ shortcuts: $('shortcuts').checked }));
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.#open && this.#show());
  }

  /** The drawer opened or closed. */
  changed(open) {
    this.#open = open;
    if (open) this.#show();
  }

  /** Does what a new choice means, and takes the choice back where that failed. */
  async #choose(device, act) {
    const [chosen, before] = [$(`call-${device}`).value, $(device).value];
    $(device).value = chosen;
    if (await act(chosen) === false) {
      if ($(device).value === chosen) $(device).value = before;
    } else {
      remember({ [device]: chosen });
    }
    this.#show();
  }

  async #show() {
    await this.#lobby.refresh();
    for (const device of ['microphone', 'camera', 'speaker']) {
      const [from, to] = [$(device), $(`call-${device}`)];
      const options = [...from.options].filter(({ value }) => device !== 'camera' || value !== 'none');
      to.replaceChildren(...options.map(({ text, value }) => new Option(text, value)));
      to.value = device === 'microphone' && !now.microphone ? 'none' : from.value === 'none' && device === 'camera' ? '' : from.value;
    }
    $('call-speaker-field').hidden = $('speaker-field').hidden;
    $('call-cleanup').checked = $('cleanup').checked;
  }
}
