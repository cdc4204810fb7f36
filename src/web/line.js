// The line: what somebody without a picture looks like. Flat while silent, a pulse while speaking.

const WIDTH = 320;
const HEIGHT = 240;
let context = null;
let still = null;

/**
 * Height of the line above its middle at `x` from 0 to 1, in half heights; `energy` from 0 to 1, `phase` in seconds.
 * PURE.
 */
export function heightAt(x, energy, phase) {
  // A bell keeps the ends on the line.
  const bell = Math.exp(-(((x - 0.5) / 0.21) ** 2));
  const wave = 0.62 * Math.sin(x * 31 - phase * 7) + 0.38 * Math.sin(x * 57 + phase * 4.3);
  return energy * bell * wave;
}

/** Draws the line of `hue` on a `Screen`; `aspect`: width through height of its box. */
export function drawLine(screen, { hue, energy, phase, ascii, aspect = WIDTH / HEIGHT }) {
  const height = Math.round(WIDTH / aspect);
  context ??= new OffscreenCanvas(WIDTH, HEIGHT).getContext('2d', { alpha: false });
  still ??= matchMedia('(prefers-reduced-motion: reduce)');
  const c = context;
  if (c.canvas.height !== height) c.canvas.height = height;
  const at = still.matches ? 0.4 : phase;
  c.fillStyle = '#000';
  c.fillRect(0, 0, WIDTH, height);
  c.beginPath();
  for (let x = 0; x <= WIDTH; x += 2) c.lineTo(x, height * (0.5 - 0.42 * heightAt(x / WIDTH, energy, at)));
  for (const [width, light, alpha] of [[44, 30, 0.3], [22, 45, 0.4], [7, 70, 1]]) {
    c.lineWidth = width * (0.45 + 0.55 * Math.min(1, energy * 2));
    c.strokeStyle = `hsl(${hue} 80% ${light}% / ${alpha * (0.55 + 0.45 * Math.min(1, energy * 3))})`;
    c.stroke();
  }
  screen.draw(c.canvas, WIDTH, height, { ascii });
}

