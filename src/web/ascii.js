// Pictures as glyphs. The choice of cells is PURE; `Screen` puts them on a canvas.

/** Glyphs from dark to light. */
export const RAMP = ' .:;+?zoX&#@';
// The share of a cell that each fills, in thousandths of the fullest; the numbers of the terminal client.
const FILL = [0, 96, 188, 258, 387, 446, 517, 635, 716, 819, 878, 1000];
// Below 2.2, since the eye reads glyphs as shapes too and strict linear light leaves the darker half of a picture empty.
const GAMMA = 1.5;
/** Most that contrast is raised. */
const MAX_GAIN = 2;
/** Most cells in a row: pictures are at most 320 pixels wide, and more would show no more. */
const MAX_COLUMNS = 120;
const MIN_COLUMNS = 48;
/** Width of a cell that reads well, in CSS pixels. */
const CELL = 5;
/** Light between the strokes of the fullest glyph, of 255: the glyphs keep their shape, the picture keeps its areas. */
const GLOW = 105;
/** As a pixel. */
const BLACK = 0xff000000 | 0;

/** Index in `RAMP` for each luma from 0 to 255. */
export const GLYPH_OF_LUMA = Uint8Array.from({ length: 256 }, (_, luma) => {
  const wanted = 1000 * (luma / 255) ** GAMMA;
  let best = 0;
  FILL.forEach((fill, index) => {
    if (Math.abs(fill - wanted) < Math.abs(FILL[best] - wanted)) best = index;
  });
  return best;
});

/** Luma of a pixel, 0 to 255 (ITU-R BT.601). */
const lumaOf = (r, g, b) => (r * 77 + g * 150 + b * 29) >> 8;

/** A table that raises contrast: the darkest and lightest fiftieth become black and white, within `MAX_GAIN`. */
export function stretch(histogram, count) {
  const margin = Math.floor(count / 50);
  const rank = (wanted) => {
    let below = 0;
    return histogram.findIndex((n) => (below += n) > wanted);
  };
  const [low, high] = [rank(margin), rank(count - 1 - margin)];
  const gain = Math.min(Math.max(255 / Math.max(high - low, 1), 1), MAX_GAIN);
  const middle = (low + high) / 2;
  const half = (high - low) * gain / 2;
  // A picture that stays darker or lighter than the whole range is moved no further than it must be to fit.
  const target = Math.min(Math.max(middle, Math.min(half, 127.5)), Math.max(255 - half, 127.5));
  return Uint8ClampedArray.from({ length: 256 }, (_, luma) => (luma - middle) * gain + target);
}

/**
 * Glyph and colour for each pixel of an RGBA picture: `glyphs` gets indexes in `RAMP`, `colours` 0x00BBGGRR at full
 * brightness (the glyph already says how dark it is).
 */
export function pick(rgba, glyphs, colours) {
  const histogram = new Uint32Array(256);
  for (let i = 0, p = 0; i < glyphs.length; i += 1, p += 4) {
    const luma = lumaOf(rgba[p], rgba[p + 1], rgba[p + 2]);
    glyphs[i] = luma;
    histogram[luma] += 1;
  }
  const table = stretch(histogram, glyphs.length);
  for (let i = 0, p = 0; i < glyphs.length; i += 1, p += 4) {
    const [r, g, b] = [rgba[p], rgba[p + 1], rgba[p + 2]];
    glyphs[i] = GLYPH_OF_LUMA[table[glyphs[i]]];
    const gain = 255 / Math.max(r, g, b, 32);
    colours[i] = ((b * gain) << 16) | ((g * gain) << 8) | (r * gain);
  }
}

/**
 * Cells for a box of device pixels (a cell is twice as high as wide): `{ columns, rows, cell }`, where `cell` is the
 * width of one in device pixels. `aspect` is the picture's width through its height.
 */
export function cellsFor(width, height, ratio, aspect) {
  const across = Math.max(1, Math.min(width, height * aspect));
  const wanted = Math.max(Math.ceil(across / MAX_COLUMNS), Math.round(CELL * ratio));
  const cell = Math.max(2, Math.min(wanted, Math.floor(across / MIN_COLUMNS)));
  const columns = Math.max(1, Math.floor(across / cell));
  return { columns, rows: Math.max(1, Math.round(columns / aspect / 2)), cell };
}

const atlases = new Map();

/** How much of each pixel each glyph covers, for cells of `cell` x `2 cell` pixels; glyph after glyph, made once. */
function atlasOf(cell) {
  let atlas = atlases.get(cell);
  if (!atlas) {
    const [width, height] = [cell, cell * 2];
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const font = (size) => `${size}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace`;
    context.font = font(100);
    context.font = font(100 * cell / context.measureText('@').width);
    context.textBaseline = 'alphabetic';
    context.fillStyle = '#fff';
    atlas = new Uint8Array(RAMP.length * width * height);
    for (let index = 1; index < RAMP.length; index += 1) {
      context.clearRect(0, 0, width, height);
      context.fillText(RAMP[index], 0, height * 0.76);
      const drawn = context.getImageData(0, 0, width, height).data;
      const floor = GLOW * (FILL[index] / 1000) ** 0.7;
      for (let i = 0; i < width * height; i += 1) {
        atlas[index * width * height + i] = floor + (255 - floor) * drawn[i * 4 + 3] / 255;
      }
    }
    atlases.set(cell, atlas);
  }
  return atlas;
}

// One for all screens: they are drawn one after the other.
let small = null;

/** A canvas that shows pictures, as glyphs or plain. Draws only when told to. */
export class Screen {
  #canvas;
  #context;
  #image = null;
  #glyphs = null;
  #colours = null;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { alpha: false });
  }

  /**
   * Draws `source` (`width` x `height`) into the box that the canvas's parent is, as glyphs or plain. `mirrored`: as people
   * are used to see themselves.
   */
  draw(source, width, height, { ascii, mirrored = false }) {
    if (ascii) this.#drawGlyphs(source, width, height, mirrored);
    else this.#drawPlain(source, width, height, mirrored);
  }

  #size(width, height) {
    if (this.#canvas.width === width && this.#canvas.height === height) return false;
    this.#canvas.width = width;
    this.#canvas.height = height;
    return true;
  }

  #drawPlain(source, width, height, mirrored) {
    this.#size(width, height);
    this.#canvas.style.width = this.#canvas.style.height = '';
    const context = this.#context;
    context.setTransform(mirrored ? -1 : 1, 0, 0, 1, mirrored ? width : 0, 0);
    context.drawImage(source, 0, 0, width, height);
    context.setTransform(1, 0, 0, 1, 0, 0);
  }

  #drawGlyphs(source, width, height, mirrored) {
    const ratio = devicePixelRatio || 1;
    const box = this.#canvas.parentElement;
    const { columns, rows, cell } = cellsFor(box.clientWidth * ratio, box.clientHeight * ratio, ratio, width / height);
    const [outWidth, outHeight] = [columns * cell, rows * cell * 2];
    if (this.#size(outWidth, outHeight) || this.#image?.width !== outWidth || this.#image?.height !== outHeight) {
      this.#image = new ImageData(outWidth, outHeight);
      this.#glyphs = new Uint8Array(columns * rows);
      this.#colours = new Uint32Array(columns * rows);
      // Pixel for pixel: a scaled canvas would blur the glyphs.
      this.#canvas.style.width = `${outWidth / ratio}px`;
      this.#canvas.style.height = `${outHeight / ratio}px`;
    }
    pick(shrink(source, columns, rows, mirrored), this.#glyphs, this.#colours);
    fill(new Uint32Array(this.#image.data.buffer), this.#glyphs, this.#colours, columns, cell, atlasOf(cell));
    this.#context.putImageData(this.#image, 0, 0);
  }
}

function shrink(source, columns, rows, mirrored) {
  small ??= new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true, alpha: false });
  if (small.canvas.width < columns || small.canvas.height < rows) {
    small.canvas.width = Math.max(small.canvas.width, columns);
    small.canvas.height = Math.max(small.canvas.height, rows);
  }
  small.imageSmoothingQuality = 'medium';
  small.setTransform(mirrored ? -1 : 1, 0, 0, 1, mirrored ? columns : 0, 0);
  small.drawImage(source, 0, 0, columns, rows);
  return small.getImageData(0, 0, columns, rows).data;
}

// Written pixel by pixel: less work for the browser than a drawImage a cell, by an order of magnitude.
function fill(out, glyphs, colours, columns, cell, atlas) {
  const [height, stride, area] = [cell * 2, columns * cell, cell * cell * 2];
  out.fill(BLACK);
  for (let i = 0; i < glyphs.length; i += 1) {
    if (glyphs[i] === 0) continue;
    let from = glyphs[i] * area;
    let to = Math.floor(i / columns) * height * stride + (i % columns) * cell;
    const [redBlue, green] = [colours[i] & 0xff00ff, colours[i] & 0xff00];
    for (let y = 0; y < height; y += 1, to += stride) {
      for (let x = 0; x < cell; x += 1, from += 1) {
        const light = atlas[from];
        // Two channels in one multiplication; rounding down by 1 of 256 is not seen.
        out[to + x] = BLACK | ((Math.imul(redBlue, light) >>> 8) & 0xff00ff) | ((Math.imul(green, light) >>> 8) & 0xff00);
      }
    }
  }
}
