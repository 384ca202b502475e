import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import { encodePng, type Image } from './png.js';

/** Cell of a glyph in `assets/glyphs.bin`: coverage from 0 to 255; the printable ASCII characters, then a box. */
const CELL_WIDTH = 24;
const CELL_HEIGHT = 48;
const BOX = 95;

let glyphs: Uint8Array | undefined;

function coverage(glyph: number, x: number, y: number): number {
  if (x < 0 || y < 0 || x >= CELL_WIDTH || y >= CELL_HEIGHT) return 0;
  glyphs ??= inflateSync(readFileSync(new URL('./assets/glyphs.bin', import.meta.url)));
  return (glyphs[(glyph * CELL_HEIGHT + y) * CELL_WIDTH + x] ?? 0) / 255;
}

type Colour = readonly [number, number, number];
const WHITE: Colour = [255, 255, 255];
const BLACK: Colour = [0, 0, 0];

function blend(image: Image, x: number, y: number, colour: Colour, opacity: number): void {
  if (x < 0 || y < 0 || x >= image.width || y >= image.height || opacity <= 0) return;
  const at = (y * image.width + x) * 3;
  for (let c = 0; c < 3; c++) {
    const under = image.pixels[at + c] ?? 0;
    image.pixels[at + c] = Math.round(under + ((colour[c] ?? 0) - under) * opacity);
  }
}

function fill(image: Image, left: number, top: number, width: number, height: number, opacity: number): void {
  for (let y = top; y < top + height; y++) for (let x = left; x < left + width; x++) blend(image, x, y, BLACK, opacity);
}

/** Draws one line; glyphs are made smaller by averaging four neighbours. */
function drawLine(image: Image, line: string, left: number, top: number, scale: number, colour: Colour): void {
  [...line].forEach((character, column) => {
    const code = (character.codePointAt(0) ?? 0) - 32;
    const glyph = code >= 0 && code < BOX ? code : BOX;
    for (let y = 0; y < CELL_HEIGHT * scale; y++) {
      for (let x = 0; x < CELL_WIDTH * scale; x++) {
        const [u, v] = [(x + 0.5) / scale - 0.5, (y + 0.5) / scale - 0.5];
        const [i, j] = [Math.floor(u), Math.floor(v)];
        const [a, b] = [u - i, v - j];
        const upper = coverage(glyph, i, j) * (1 - a) + coverage(glyph, i + 1, j) * a;
        const lower = coverage(glyph, i, j + 1) * (1 - a) + coverage(glyph, i + 1, j + 1) * a;
        const opacity = upper * (1 - b) + lower * b;
        blend(image, Math.round(left + column * CELL_WIDTH * scale) + x, top + y, colour, opacity);
      }
    }
  });
}

/** Breaks at spaces, and inside a word only where it is longer than a line. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split(/\r?\n/)) {
    let line: string[] = [];
    for (const word of paragraph.split(/\s+/)) {
      let rest = [...word];
      if (line.length > 0 && line.length + 1 + rest.length <= columns) {
        line.push(' ', ...rest);
        continue;
      }
      if (line.length > 0) lines.push(line.join(''));
      for (; rest.length > columns; rest = rest.slice(columns)) lines.push(rest.slice(0, columns).join(''));
      line = rest;
    }
    lines.push(line.join(''));
  }
  return lines;
}

/** Hue in degrees; saturation and lightness from 0 to 1. */
function hsl(hue: number, saturation: number, lightness: number): Colour {
  const channel = (n: number): number => {
    const k = (n + hue / 30) % 12;
    const a = saturation * Math.min(lightness, 1 - lightness);
    return 255 * (lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return [channel(0), channel(8), channel(4)];
}

function gradient(width: number, height: number, seed: string): Image {
  const hash = createHash('sha256').update(seed).digest();
  const hue = (hash.readUInt16BE(0) / 65_536) * 360;
  const [from, to] = [hsl(hue, 0.55, 0.32), hsl((hue + 50 + (hash[2] ?? 0) / 4) % 360, 0.6, 0.58)];
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const part = (x / width + y / height) / 2;
      for (let c = 0; c < 3; c++) pixels[at++] = (from[c] ?? 0) + ((to[c] ?? 0) - (from[c] ?? 0)) * part;
    }
  }
  return { width, height, pixels };
}

/** Longest side of the pictures, in pixels. */
const SIDE = 640;

/** Width and height from whichever parameter the model uses for its format; square where none says "w:h". */
export function pictureSize(params: Readonly<Record<string, unknown>>): [number, number] {
  const names = ['aspect_ratio', 'aspectRatio', 'image_size', 'imageSize', 'size'];
  const ratio = names.map((name) => /^(\d{1,2}):(\d{1,2})$/.exec(String(params[name]))).find((match) => match !== null);
  const [w, h] = [Number(ratio?.[1] ?? 1), Number(ratio?.[2] ?? 1)];
  if (w === 0 || h === 0) return [SIDE, SIDE];
  // No side below 160 pixels, or no text would fit.
  const side = (part: number): number => Math.max(160, Math.round((SIDE * part) / Math.max(w, h)));
  return [side(w), side(h)];
}

/** A PNG that shows the prompt it was "made" from, its model, and that it is simulated. */
export function drawPicture(prompt: string, model: string, params: Readonly<Record<string, unknown>>): Buffer {
  const [width, height] = pictureSize(params);
  const image = gradient(width, height, `${model}\n${prompt}`);
  const margin = Math.round(width / 20);
  const bar = 40;
  fill(image, 0, 0, width, bar, 0.45);
  fill(image, 0, height - bar, width, bar, 0.45);
  const small = 0.5;
  drawLine(image, 'SIMULATED', margin, 8, small, WHITE);
  drawLine(image, model, margin, height - bar + 8, small, WHITE);

  const [roomX, roomY] = [width - 2 * margin, height - 2 * bar - margin];
  // The largest of these sizes at which everything fits; the smallest is still legible, and cuts off the rest.
  for (const scale of [1, 0.75, 0.5]) {
    const columns = Math.floor(roomX / (CELL_WIDTH * scale));
    const rows = Math.floor(roomY / (CELL_HEIGHT * scale));
    // Accents are not in the glyphs; a bare letter reads better than a box.
    let lines = wrap(prompt.normalize('NFKD').replace(/\p{M}/gu, ''), columns);
    if (lines.length > rows && scale > 0.5) continue;
    if (lines.length > rows) lines = [...lines.slice(0, rows - 1), '...'];
    const top = Math.round((height - lines.length * CELL_HEIGHT * scale) / 2);
    lines.forEach((line, row) => {
      const y = top + Math.round(row * CELL_HEIGHT * scale);
      drawLine(image, line, margin + 1, y + 1, scale, BLACK); // A shadow, for light gradients.
      drawLine(image, line, margin, y, scale, WHITE);
    });
    break;
  }
  return encodePng(image);
}
