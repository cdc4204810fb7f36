// Shortcuts, as in the terminal: one key, never while typing.

/** Key to action. */
export const KEYS = {
  m: 'mute', v: 'camera', d: 'deafen', t: 'chat', Enter: 'chat', s: 'stats', g: 'settings', p: 'ascii', q: 'leave', Escape: 'close',
};

/** The action of a key press, or null. `focus`: `{ typing, pressable }`, of the element that has it. PURE. */
export function actionOf({ key, repeat, ctrlKey, metaKey, altKey }, { typing, pressable }) {
  if (repeat || ctrlKey || metaKey || altKey) return null;
  const action = KEYS[key.length === 1 ? key.toLowerCase() : key] ?? null;
  if (action === 'close') return action;
  if (typing || (key === 'Enter' && pressable)) return null;
  return action;
}

/** Calls `act(action)` for each shortcut pressed; returns false from `act` to let the browser have the key. */
export function listen(act) {
  document.addEventListener('keydown', (event) => {
    const at = event.target instanceof Element ? event.target : document.body;
    const action = actionOf(event, {
      typing: at.matches('input:not([type=checkbox]), textarea, select, [contenteditable]'),
      pressable: at.matches('button, a, summary, input'),
    });
    if (action && act(action) !== false) event.preventDefault();
  });
}
