/** An input file as records: its bytes are read once, and one record is in memory at a time. */
import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { parseExactJson } from '../../policy/exact-json.js';
import { InvalidInput } from '../../policy/fields.js';
import { columnOf, objectDraft, rowDraft, twice, type Column, type Draft, type TypeOf } from './columns.js';
import { delimiterOf, linesOf, LONGEST_LINE, rowsOf } from './lines.js';
import { InputRefused } from './problems.js';
import { decode, encodingOf } from './text.js';

export interface RecordOptions {
  readonly encoding: string | undefined;
  /** Model of the lines that name none. */
  readonly model: string | undefined;
  readonly typeOf: TypeOf;
  /** Takes the bytes of the file. */
  readonly hash: Hash;
}

/** A record that is judged when `draft` is called. @throws InvalidInput */
export interface InputRecord {
  readonly line: number;
  readonly draft: () => Draft;
}

/** @throws InputRefused for a file that cannot be read or understood. */
export async function* recordsOf(file: string, options: RecordOptions): AsyncGenerator<InputRecord> {
  const isFile = await stat(file).then((found) => found.isFile(), unreadable);
  // A pipe could not be read a second time.
  if (!isFile) throw new InputRefused(null, 'This is no regular file. Write the items into a file first');
  const stream = createReadStream(file);
  try {
    const bytes = hashed(stream, options.hash);
    const first = await bytes.next().catch(unreadable);
    const head = first.done === true ? new Uint8Array() : first.value;
    const text = decode(joined(head, bytes), encodingOf(head, options.encoding));
    const { line, all } = await firstLine(text);
    if (/^\s*\{/.test(line)) yield* objects(all);
    else if (/^\s*\[/.test(line)) {
      throw new InputRefused(null, "This is a JSON array. Write one object on each line, as: jq -c '.[]'");
    } else yield* rows(all, delimiterOf(line), options);
  } finally {
    stream.destroy();
  }
}

/** SHA-256 of the bytes of a file. @throws InputRefused */
export async function addBytes(hash: Hash, file: string): Promise<Hash> {
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Uint8Array);
  } catch (error) {
    unreadable(error);
  }
  return hash;
}

function unreadable(error: unknown): never {
  const { code, message } = error as NodeJS.ErrnoException;
  throw new InputRefused(null, `The file cannot be read (${code ?? message})`);
}

async function* hashed(chunks: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
}

async function* joined<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first;
  yield* rest;
}

/** The first line that is not empty; `all` is the whole text again. */
async function firstLine(text: AsyncGenerator<string>): Promise<{ line: string; all: AsyncIterable<string> }> {
  let head = '';
  for (;;) {
    const next = await text.next();
    if (next.done !== true) head += next.value;
    const [found] = /^[^\S\n]*\S.*$/m.exec(head) ?? [];
    const isWhole = next.done === true || head.length > LONGEST_LINE || head.trimStart().includes('\n');
    if (isWhole) return { line: found ?? '', all: joined(head, text) };
  }
}

async function* objects(text: AsyncIterable<string>): AsyncGenerator<InputRecord> {
  for await (const [line, json] of linesOf(text)) {
    yield { line, draft: () => objectDraft(line, parseExactJson(json, 'The line')) };
  }
}

async function* rows(text: AsyncIterable<string>, delimiter: string, options: RecordOptions) {
  let columns: readonly (Column | null)[] | null = null;
  for await (const row of rowsOf(text, delimiter)) {
    if (columns !== null) {
      const known = columns;
      yield { line: row.line, draft: () => rowDraft(row, known, options) };
      continue;
    }
    columns = headerOf(row.cells, row.line, options.model);
  }
}

function headerOf(cells: readonly string[], line: number, model: string | undefined): readonly (Column | null)[] {
  const refused = (problem: string): InputRefused => new InputRefused(line, problem);
  const names = cells.slice(0, cells.findLastIndex((cell) => cell.trim() !== '') + 1);
  let columns: (Column | null)[];
  try {
    columns = names.map((name) => (name.trim() === '' ? null : columnOf(name)));
  } catch (error) {
    if (error instanceof InvalidInput) throw refused(error.problem.replace(/\.$/, ''));
    throw error;
  }
  if (columns.every((column) => column === null || column.kind === 'carried')) {
    const example = 'for example: model,prompt';
    throw refused(`names no column that a batch reads. The first line has the names of the columns, ${example}`);
  }
  const [again] = twice(columns, names);
  if (again !== undefined) throw refused(`the column ${again} is there twice`);
  const isModel = (column: Column | null): boolean => column?.kind === 'field' && column.name === 'model';
  if (model === undefined && !columns.some(isModel)) {
    throw refused('there is no column model. Add it, or give one model for all with --model');
  }
  return columns;
}
