import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';
import { commands } from './advice.js';
import type { Cell } from '../batch/csv.js';
import { STATUS } from './errors.js';

// Control and bidirectional characters: what comes from outside must not steer a terminal or reorder a line.
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
// Two columns of a terminal: the scripts of East Asia, their full-width forms, and emoji.
const WIDE =
  /^(?![\0-\u10ff\uff61-\uffdc])[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}\p{scx=Bopo}\p{scx=Yiii}\p{Emoji_Presentation}\uff01-\uff60\uffe0-\uffe6]|\ufe0f/u;
const graphemes = new Intl.Segmenter();
let failed = null as NodeJS.ErrnoException | null;

// A pipe that nobody reads any more (`… | head`) is no error; a full disk is one.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') failed = error;
  });
}

/** A text that cannot steer a terminal: as JSON writes such characters. Lines stay lines. */
function escaped(text: string): string {
  const code = (sign: string): string => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return text.replace(UNSAFE, (sign) => (sign === '\n' ? sign : code(sign)));
}

/** Words that say how something stands, by their colours. */
const STATE_WORDS = {
  green: /^(ok|succeeded|completed)(?=$|[\s:,(])/,
  yellow: /^(warn|held)(?=$|[\s:,(])/,
  red: /^(fail|failed|did not succeed|terminated|timed out)(?=$|[\s:,(])/,
} as const;

/** A text that is escaped already, with the state word at its beginning in colour where the stream shows colours. */
function coloured(text: string, stream: NodeJS.WriteStream): string {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  const shown = FORCE_COLOR ? FORCE_COLOR !== '0' : stream.isTTY && TERM !== 'dumb';
  if (NO_COLOR || !shown) return text;
  const [colour, word] = Object.entries(STATE_WORDS).find(([, words]) => words.test(text)) ?? [];
  // By itself it would ask stdout, whichever stream this is for.
  const paint = (state: string): string => styleText(colour as 'red', state, { validateStream: false });
  return word === undefined ? text : text.replace(word, paint);
}

/** A line for people, on stderr. */
export function say(line: string): void {
  process.stderr.write(`${escaped(commands(line))}\n`);
}

/** A result, on stdout. */
export function print(line: string): void {
  process.stdout.write(`${escaped(line)}\n`);
}

/** A result for people that begins with how something stands. */
export function printState(line: string): void {
  process.stdout.write(`${coloured(escaped(line), process.stdout)}\n`);
}

/** The one JSON document of a command, on stdout. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Ends the process when all output has left it: a pipe takes it later than `write` returns. */
export async function finish(status: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) {
    // The end of a pipe that nobody reads any more is no reason to stay.
    if (stream.writable) await new Promise<void>((resolve) => stream.write('', () => resolve()));
  }
  if (failed === null) process.exit(status);
  say(`The output could not be written (${failed.message}). What the command did is done. See: rivya-temporal list`);
  process.exit(status || STATUS.failed);
}

/** Prints a table for people, each column as wide as its widest cell, or so much narrower that a row fits into `width`. */
export function printTable(rows: readonly (readonly Cell[])[], indent = '', width = Infinity): void {
  const texts = rows.map((row) => row.map((cell) => escaped(String(cell ?? '-')).replaceAll('\n', '\\n')));
  const widths: number[] = [];
  for (const row of texts) row.forEach((text, i) => (widths[i] = Math.max(widths[i] ?? 0, displayWidth(text))));
  let excess = widths.reduce((sum, one) => sum + one + GAP.length, indent.length - GAP.length) - width;
  // The last column says most and needs it least.
  for (; excess > 0; excess--) {
    const narrower = (widths.at(-1) ?? 0) > NARROW ? widths.length - 1 : widths.indexOf(Math.max(...widths));
    widths[narrower] = Math.max(1, (widths[narrower] ?? 0) - 1);
  }
  for (const row of texts) {
    const cells = row.map((text, i) => fitted(text, widths[i] ?? 0));
    // The first column is a name, or what a person called something.
    const shown = cells.map((text, i) => (i === 0 ? text : coloured(text, process.stdout)));
    process.stdout.write(`${`${indent}${shown.join(GAP)}`.trimEnd()}\n`);
  }
}

/** Prints what is known of one thing, without what is not. */
export function printFacts(title: string, facts: readonly (readonly [string, Cell | undefined])[]): void {
  print(title);
  const known = facts.flatMap(([name, value]) => (value == null ? [] : [[name, value]]));
  printTable(known, '  ');
}

const GAP = '  ';
const NARROW = 16;

/** Columns that one sign takes. */
function widthOf(sign: string): number {
  return WIDE.test(sign) ? 2 : /^[\p{M}\p{Cf}]/u.test(sign) ? 0 : 1;
}

function signsOf(text: string): string[] {
  return Array.from(graphemes.segment(text), ({ segment }) => segment);
}

function displayWidth(text: string): number {
  return signsOf(text).reduce((sum, sign) => sum + widthOf(sign), 0);
}

/** The text in so many columns: filled up, or as much of its start as fits. */
function fitted(text: string, columns: number): string {
  const free = columns - displayWidth(text);
  if (free >= 0) return text + ' '.repeat(free);
  let left = columns - 1;
  const start = signsOf(text).filter((sign) => (left -= widthOf(sign)) >= 0);
  return fitted(`${start.join('')}…`, columns);
}

/** Columns of the terminal. Elsewhere nothing is cut, unless somebody says how wide it is, as `watch` does. */
export function terminalWidth(): number {
  return process.stdout.columns || Number(process.env['COLUMNS']) || Infinity;
}

export { shellWord as quoted } from '../policy/index.js';

/** The path of a `file:` URI, relative where it is below the working directory; any other URI, also of another machine, as it is. */
export function readableUri(uri: string): string {
  if (!uri.startsWith('file:')) return uri;
  let file: string;
  try {
    file = fileURLToPath(uri);
  } catch {
    return uri;
  }
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith('..') || path.isAbsolute(relative) ? file : `.${path.sep}${relative}`;
}

export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** Live lines on stderr, one for each name: rewritten in place on a terminal, elsewhere printed when `key` has changed. */
export class Progress {
  readonly #lines = new Map<string, { key: string; text: string }>();
  readonly #live = process.stderr.isTTY && process.env['TERM'] !== 'dumb';
  #drawn = 0;

  set(name: string, text: string, key: string): void {
    const changed = this.#lines.get(name)?.key !== key;
    this.#lines.set(name, { key, text });
    if (this.#live) this.#draw();
    else if (changed) say(text);
  }

  /** A line of its own, above the live ones. */
  note(line: string): void {
    this.#clear();
    say(line);
    if (this.#live) this.#draw();
  }

  #draw(): void {
    this.#clear();
    const width = (process.stderr.columns || 80) - 1;
    // A line that wraps would take two rows, and the next update would start one row too low.
    for (const [name, { text }] of this.#lines) {
      const line = fitted(escaped(text).replaceAll('\n', ' '), width).trimEnd();
      const state = line.startsWith(`${name}: `) ? name.length + 2 : 0;
      process.stderr.write(`${line.slice(0, state)}${coloured(line.slice(state), process.stderr)}\n`);
    }
    this.#drawn = this.#lines.size;
  }

  #clear(): void {
    if (this.#drawn > 0) process.stderr.write(`\u001b[${this.#drawn}A\u001b[0J`);
    this.#drawn = 0;
  }
}
