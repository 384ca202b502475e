import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { crc32, deflateSync, inflateSync } from 'node:zlib';

/** An image of 8 bits per channel, red, green, blue, row by row. */
interface Image {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** Cell of a glyph in `assets/glyphs.bin`: coverage from 0 to 255; the printable ASCII characters, then a box. */
const CELL_WIDTH = 24;
const CELL_HEIGHT = 48;
const BOX = 95;
/** Longest side of the pictures, in pixels. */
const SIDE = 640;
/** Shortest side in pixels: below it no text fits. */
const SHORTEST_SIDE = 160;
const WHITE = 255;
const BLACK = 0;

let glyphs: Uint8Array | undefined;

function coverage(glyph: number, x: number, y: number): number {
  if (x < 0 || y < 0 || x >= CELL_WIDTH || y >= CELL_HEIGHT) return 0;
  glyphs ??= inflateSync(readFileSync(new URL('./assets/glyphs.bin', import.meta.url)));
  return (glyphs[(glyph * CELL_HEIGHT + y) * CELL_WIDTH + x] ?? 0) / 255;
}

function blend({ width, height, pixels }: Image, x: number, y: number, shade: number, opacity: number): void {
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  for (let at = (y * width + x) * 3, end = at + 3; at < end; at++) {
    const under = pixels[at] ?? 0;
    pixels[at] = Math.round(under + (shade - under) * opacity);
  }
}

/** Draws one line; glyphs are made smaller by averaging four neighbours. */
function drawLine(image: Image, line: string, left: number, top: number, scale: number, shade: number): void {
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
        blend(image, Math.round(left + column * CELL_WIDTH * scale) + x, top + y, shade, upper * (1 - b) + lower * b);
      }
    }
  });
}

/** Draws one white line with a shadow, for light gradients. */
function drawShadowed(image: Image, line: string, left: number, top: number, scale: number): void {
  drawLine(image, line, left + 1, top + 1, scale, BLACK);
  drawLine(image, line, left, top, scale, WHITE);
}

/** The lines of a text. It breaks at spaces, and inside a word only where that is longer than a line. */
export function wrap(text: string, columns: number): string[] {
  const line = new RegExp(`.{1,${columns}}(?: |$)|.{${columns}}`, 'gu');
  const paragraphs = text.split(/\r?\n/).map((paragraph) => paragraph.trim().replaceAll(/\s+/g, ' '));
  return paragraphs.flatMap((paragraph) => paragraph.match(line)?.map((each) => each.trimEnd()) ?? ['']);
}

/** A gradient between two colours that follow from the seed, neither black nor white. */
function gradient(width: number, height: number, seed: string): Image {
  const hash = createHash('sha256').update(seed).digest();
  const from = [...hash.subarray(0, 3)].map((byte) => byte / 2 + 20);
  const to = [...hash.subarray(3, 6)].map((byte) => byte / 2 + 70);
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const part = (x / width + y / height) / 2;
      for (let c = 0; c < 3; c++) pixels[at++] = (from[c] ?? 0) + ((to[c] ?? 0) - (from[c] ?? 0)) * part;
    }
  }
  return { width, height, pixels };
}

/** Width and height from any of the parameters that models use for their format; square where none says "w:h". */
export function pictureSize(params: Readonly<Record<string, unknown>>): [number, number] {
  const names = ['aspect_ratio', 'aspectRatio', 'image_size', 'imageSize', 'size'];
  const ratio = names.map((name) => /^(\d{1,2}):(\d{1,2})$/.exec(String(params[name]))).find((match) => match !== null);
  const [w, h] = [Number(ratio?.[1] ?? 1), Number(ratio?.[2] ?? 1)];
  if (w === 0 || h === 0) return [SIDE, SIDE];
  const side = (part: number): number => Math.max(SHORTEST_SIDE, Math.round((SIDE * part) / Math.max(w, h)));
  return [side(w), side(h)];
}

/** A PNG that shows the prompt it was "made" from, its model, and that it is simulated. */
export function drawPicture(prompt: string, model: string, params: Readonly<Record<string, unknown>>): Buffer {
  const [width, height] = pictureSize(params);
  const image = gradient(width, height, `${model}\n${prompt}`);
  const margin = Math.round(width / 20);
  const bar = 40;
  drawShadowed(image, 'SIMULATED', margin, 8, 0.5);
  drawShadowed(image, model, margin, height - bar + 8, 0.5);

  // The largest of these sizes at which everything fits; the smallest is still legible, and cuts off the rest.
  for (const scale of [1, 0.75, 0.5]) {
    const columns = Math.floor((width - 2 * margin) / (CELL_WIDTH * scale));
    const rows = Math.floor((height - 2 * bar - margin) / (CELL_HEIGHT * scale));
    // Accents are not in the glyphs; a bare letter reads better than a box.
    let lines = wrap(prompt.normalize('NFKD').replace(/\p{M}/gu, ''), columns);
    if (lines.length > rows && scale > 0.5) continue;
    if (lines.length > rows) lines = [...lines.slice(0, rows - 1), '...'];
    const top = Math.round((height - lines.length * CELL_HEIGHT * scale) / 2);
    lines.forEach((line, row) => drawShadowed(image, line, margin, top + row * CELL_HEIGHT * scale, scale));
    break;
  }
  return pngOf(image);
}

function pngOf({ width, height, pixels }: Image): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]); // 8 bits, RGB, not interlaced.
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const stride = width * 3;
  const rows = Buffer.alloc((stride + 1) * height);
  for (let y = 0, at = 0; y < height; y++) {
    const out = y * (stride + 1);
    rows[out] = 1; // Filter "Sub": a gradient becomes runs of small numbers.
    for (let x = 0; x < stride; x++, at++) {
      rows[out + 1 + x] = (pixels[at] ?? 0) - (x < 3 ? 0 : (pixels[at - 3] ?? 0));
    }
  }
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  const data = deflateSync(rows, { level: 5 });
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32BE(data.length, 0);
  numbers.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([numbers.subarray(0, 4), body, numbers.subarray(4)]);
}
