import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';

/** From now on, this key of this table has this value. */
export type Put = readonly [table: string, key: string, value: unknown];

const HEADER = '{"version":2}';

/**
 * A file that grows by one line with each step, however large it is: a line is a JSON array of puts, the last put of a
 * key counts. A step is in it whole or not at all, because a start drops a last line that a kill has cut off.
 */
export class Journal {
  readonly #file: string;
  #descriptor: number | null = null;
  #pending: Put[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /**
   * What the file says, in order; nothing where there is no file.
   * @throws Error for a file that is none of ours: starting empty would forget idempotency keys and make tasks twice.
   */
  read(): Put[] {
    if (!existsSync(this.#file)) return [];
    try {
      const [header, ...lines] = readFileSync(this.#file, 'utf8').split('\n');
      if (header !== HEADER) throw new Error(`its first line is not ${HEADER}`);
      // Behind the last line break stands nothing, or the line that was being written.
      return lines.slice(0, -1).flatMap((line) => JSON.parse(line) as Put[]);
    } catch (cause) {
      throw new Error(`The emulator's state file ${this.#file} cannot be read; delete it to start anew.`, { cause });
    }
  }

  /** Starts the file anew with one line for each put. A reader, or a start after a kill, meets the old file or the new one. */
  rewrite(puts: Iterable<Put>): void {
    const temporary = `${this.#file}.tmp`;
    writeFileSync(temporary, [HEADER, ...Array.from(puts, (put) => JSON.stringify([put])), ''].join('\n'));
    renameSync(temporary, this.#file);
    this.close();
    this.#descriptor = openSync(this.#file, 'a');
    this.#pending = [];
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  /** Notes a change for the next `save()`; the value is written as it is then. */
  put(...put: Put): void {
    this.#pending.push(put);
  }

  /** Writes what was put since the last time: one step, one line. */
  save(): void {
    if (this.#pending.length === 0 || this.#descriptor === null) return;
    const line = Buffer.from(`${JSON.stringify(this.#pending)}\n`);
    this.#pending = [];
    for (let written = 0; written < line.length;) written += writeSync(this.#descriptor, line, written);
  }
}
