// Text from other people, made harmless. PURE.
//
// It is shown by textContent only, so markup is not the concern: a name that reads as another one, that reorders the
// line it stands in, or whose stacked marks cover its neighbours is.

import { MAX_NAME, checkName } from './wire.js';

/** Stands for a character that must not be shown; the terminal client uses the same. */
export const REPLACEMENT = '\u00b7';
/** More marks than this on one character are left out. Vietnamese needs two, careful Hebrew four. */
export const MAX_MARKS = 4;

// Control, private and unpaired characters; marks, embeddings, overrides and isolates of direction; line separators;
// invisible operators, fillers and tags; annotations; and what is no character at all.
const HARMFUL = new RegExp(
  '[\\p{Cc}\\p{Co}\\p{Cs}\\p{Noncharacter_Code_Point}\\u061c\\u115f\\u1160\\u17d8\\u200b\\u200e\\u200f\\u2028-\\u202e' +
  '\\u2060-\\u206f\\u2800\\u3164\\ufeff\\uffa0\\ufff0-\\ufffd\\u{e0000}-\\u{10ffff}]', 'u');
const MARK = /[\p{M}\p{Cf}]/u;

/** A text with every harmful character replaced and at most `MAX_MARKS` marks on one character. */
export function safe(text) {
  let out = '';
  let marks = 0;
  for (const c of String(text)) {
    if (HARMFUL.test(c)) {
      out += REPLACEMENT;
      marks = 0;
    } else if (MARK.test(c)) {
      marks += 1;
      if (marks <= MAX_MARKS) out += c;
    } else {
      out += c;
      marks = 0;
    }
  }
  return out;
}

/** A name to show: harmless, never empty, never longer than the wire allows. */
export function shownName(name) {
  const short = Array.from(safe(name)).slice(0, MAX_NAME * (MAX_MARKS + 1)).join('').trim();
  return short || REPLACEMENT;
}

/** What is wrong with a name that somebody typed, as a sentence; null if it is fine. `what`: "name" or "room". */
export function nameError(name, what) {
  const length = Array.from(name).length;
  if (length === 0) return `Please type a ${what}.`;
  if (length > MAX_NAME) return `A ${what} has at most ${MAX_NAME} characters; this one has ${length}.`;
  if (checkName(name)) return `A ${what} cannot have invisible characters.`;
  return null;
}

/** The hue that belongs to a name, in degrees: as in the test pictures of the terminal client. */
export function hueOfName(name) {
  let number = 0;
  for (const byte of new TextEncoder().encode(name)) number = (Math.imul(number, 31) + byte) >>> 0;
  return Number((BigInt(number) * 137508n) % 360000n) / 1000;
}
