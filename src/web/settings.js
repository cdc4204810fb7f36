// What is remembered from visit to visit.

const STORE = 'sidetone';

/** The page's address asks for things too: `?name=Ada&room=lobby&join`. */
export const query = new URLSearchParams(location.search);

/** What was chosen last time, and over it what the address says. */
export const settings = { ...remembered(), ...asked() };

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {}; // storage is off, or holds something else
  }
}

/** Takes changes, and keeps all of it for the next visit. */
export function remember(changes) {
  Object.assign(settings, changes);
  try {
    localStorage.setItem(STORE, JSON.stringify(settings));
  } catch {
    // storage is off or full: nothing is remembered
  }
}

function asked() {
  const found = {};
  for (const key of ['name', 'room']) if (query.get(key)) found[key] = query.get(key);
  if (query.get('mic') === 'off') found.microphone = 'none';
  if (query.get('camera') === 'off') found.camera = 'none';
  if (query.get('cleanup') === 'off') found.cleanup = false;
  return found;
}
