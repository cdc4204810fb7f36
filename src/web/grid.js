// Where the tiles go. PURE.

/** Narrowest tile before the grid scrolls instead, in CSS pixels. */
export const MIN_TILE = 148;

/**
 * Width of a tile so that `count` tiles fit `width` x `height` with 4:3 pictures as large as possible, each with a
 * caption of `caption` pixels under it and `gap` between tiles. Never below `MIN_TILE` (or the whole width, if that is
 * less). Returns `{ across, tile }`: tiles in a row, and the width of one.
 */
export function layout(count, width, height, { gap = 12, caption = 40 } = {}) {
  let best = { across: 1, tile: 0, empty: 0 };
  for (let across = 1; across <= Math.max(count, 1); across += 1) {
    const down = Math.ceil(Math.max(count, 1) / across);
    const byWidth = (width - gap * (across - 1)) / across;
    const byHeight = ((height - gap * (down - 1)) / down - caption) * 4 / 3;
    const tile = Math.floor(Math.min(byWidth, byHeight));
    const empty = across * down - count;
    if (tile > best.tile || (tile === best.tile && empty < best.empty)) best = { across, tile, empty };
  }
  if (best.tile >= MIN_TILE) return { across: best.across, tile: best.tile };
  // Too many to see at once: as many narrow ones in a row as there is room for, and the grid scrolls.
  const across = Math.max(1, Math.min(count, Math.floor((width + gap) / (MIN_TILE + gap))));
  return { across, tile: Math.max(1, Math.min(Math.floor((width - gap * (across - 1)) / across), Math.floor(MIN_TILE * 1.25))) };
}
