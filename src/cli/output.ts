import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** A line for people, on stderr. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A result, on stdout. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
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
  process.exit(status);
}

export type Cell = string | number | boolean | null;

/** Prints a table for people, each column as wide as its widest cell. */
export function printTable(rows: readonly (readonly Cell[])[], indent = ''): void {
  const texts = rows.map((row) => row.map((cell) => String(cell ?? '-')));
  const widths: number[] = [];
  for (const row of texts) row.forEach((text, i) => (widths[i] = Math.max(widths[i] ?? 0, text.length)));
  for (const row of texts) {
    const line = row.map((text, i) => text.padEnd(widths[i] ?? 0)).join('  ');
    print(indent + line.trimEnd());
  }
}

/** A table as CSV (RFC 4180): one line for each row, the names of the columns first. */
export function csv(rows: readonly (readonly Cell[])[]): string {
  return rows.map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(value: Cell): string {
  if (value === null) return '';
  // A spreadsheet runs a text that begins like this as a formula.
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The path of a `file:` URI, relative where it is below the working directory; any other URI as it is. */
export function readableUri(uri: string): string {
  if (!uri.startsWith('file:')) return uri;
  const file = fileURLToPath(uri);
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith('..') || path.isAbsolute(relative) ? file : `.${path.sep}${relative}`;
}

export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/**
 * Live lines on stderr, one for each name: rewritten in place on a terminal, elsewhere printed when what they say
 * (`key`) has changed.
 */
export class Progress {
  readonly #lines = new Map<string, { key: string; text: string }>();
  readonly #live = process.stderr.isTTY && process.env['TERM'] !== 'dumb';
  #drawn = 0;

  /** @param key - What makes the line worth printing anew where it cannot be rewritten. */
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

  /** Leaves the lines as they are; what follows comes below. */
  end(): void {
    this.#drawn = 0;
    this.#lines.clear();
  }

  #draw(): void {
    this.#clear();
    const width = (process.stderr.columns || 80) - 1;
    // A line that wraps would take two rows, and the next update would start one row too low.
    for (const { text } of this.#lines.values()) say([...text].slice(0, width).join(''));
    this.#drawn = this.#lines.size;
  }

  #clear(): void {
    if (this.#drawn > 0) process.stderr.write(`\u001b[${this.#drawn}A\u001b[0J`);
    this.#drawn = 0;
  }
}
