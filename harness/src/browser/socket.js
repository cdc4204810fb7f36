// Evaluated in the page and in its workers before their own scripts. The browser does not tell its driver how a WebSocket was
// closed; the script that opened it knows.
() => {
  'use strict';
  const tell = (kind, value) => globalThis.sidetoneDriver(JSON.stringify({ kind, value }));
  const Native = globalThis.WebSocket;
  globalThis.WebSocket = class WebSocket extends Native {
    constructor(...args) {
      super(...args);
      this.addEventListener('close', ({ code, reason }) => tell('closed', { url: this.url, code, reason }));
    }
  };
}
