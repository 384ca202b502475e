/** The files of a batch, copied out of its store into a folder. A copy that is there and whole is not made again. */
import path from 'node:path';
import type { StoredFile } from '../contract/index.js';
import { copyFile, type Copied } from '../storage/copy.js';
import { checkName } from '../storage/names.js';
import type { Store } from '../storage/store.js';
import type { NameTemplate } from './input/names.js';
import { placeOf, uriOf, type BatchRow } from './results.js';

// Files that are copied at the same time.
const AT_ONCE = 8;

/** The name of the n-th file (from 1) of an item below the folder, with `/` between its parts. */
export type NameOf = (row: BatchRow, file: StoredFile, n: number) => string;

/** The names that the files have in the store: links in the tables and in the report fit them. */
export function namesOfStore(batchId: string): NameOf {
  return ({ item }, { uri }, n) => placeOf(uri, batchId) ?? `${item.id}/${n}${path.posix.extname(uri)}`;
}

/** The names by a template. */
export function namesBy(template: NameTemplate): NameOf {
  return ({ item }, { uri }, n) => `${template.nameOf(item, n)}${path.posix.extname(uri)}`;
}

export interface Download {
  readonly itemId: string;
  readonly uri: string;
  readonly file: string;
  readonly outcome: Copied;
}

/** Copies all files of the rows, and gives what became of each. Stops without an error when `signal` is aborted. */
export async function* download(
  store: Store,
  batchId: string,
  rows: AsyncIterable<BatchRow>,
  { directory, nameOf, signal }: { directory: string; nameOf: NameOf; signal: AbortSignal },
): AsyncGenerator<Download> {
  const copy = async (row: BatchRow, stored: StoredFile, n: number): Promise<Download> => {
    const file = path.join(directory, ...checkName(nameOf(row, stored, n)).split('/'));
    const place = placeOf(stored.uri, batchId);
    // The store may have been moved since its files were written.
    const uri = place === null ? stored.uri : uriOf(store, batchId, place);
    return { itemId: row.item.id, uri, file, outcome: await copyFile(store, { ...stored, uri }, file, signal) };
  };
  const running: Promise<Download>[] = [];
  for await (const row of rows) {
    if (row.isGone === true) continue;
    for (const [index, stored] of (row.outcome?.files ?? []).entries()) {
      if (signal.aborted) break;
      running.push(copy(row, stored, index + 1));
      const next = running.length >= AT_ONCE ? await running.shift() : undefined;
      if (next !== undefined) yield next;
    }
    if (signal.aborted) break;
  }
  for (const last of running) yield await last;
}
