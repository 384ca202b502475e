/**
 * The results of a batch as tables, `results.csv` and `results.jsonl`, in the order of its input. They are made from the
 * manifest and the outcome records alone, so they are right also when nothing in Temporal is left.
 */
import type { BatchItem, BatchManifest, BatchOutcome, OutcomeStatus } from '../contract/batch.js';
import { FAILURE } from '../contract/index.js';
import { attemptCredits, itemAdvice, round } from '../policy/index.js';
import { safeName } from '../storage/names.js';
import { absoluteAddress } from '../storage/open.js';
import type { Store } from '../storage/store.js';
import { csv, type Cell } from './csv.js';
import type { BatchFiles } from './files.js';

// Records that are read at the same time: a bucket answers each in some 20 ms.
const AT_ONCE = 32;
const CHUNK = 64 * 1024;

/** An item with its outcome; null while the item, as this manifest has it, has not ended. */
export interface BatchRow {
  readonly item: BatchItem;
  readonly outcome: BatchOutcome | null;
  /** True for a record of an item that was paid and is not in these items any more, as it was. It is no row of theirs. */
  readonly isGone?: boolean;
}

/** All items in the order of the input, a few in memory at a time; behind them those that are gone. */
export function rowsOf(files: BatchFiles, manifest: BatchManifest): AsyncGenerator<BatchRow> {
  return rowsOfItems(files, files.items(manifest));
}

/** The same for items that may be in no manifest yet. */
export async function* rowsOfItems(files: BatchFiles, items: AsyncIterable<BatchItem>): AsyncGenerator<BatchRow> {
  const hasEnded = await files.ended();
  const read = async (item: BatchItem): Promise<BatchRow> => {
    return { item, outcome: hasEnded(item.workflowId) ? await files.outcome(item.workflowId) : null };
  };
  const seen: Pick<BatchItem, 'workflowId'>[] = [];
  let next: BatchItem[] = [];
  for await (const item of items) {
    seen.push({ workflowId: item.workflowId });
    next.push(item);
    if (next.length < AT_ONCE) continue;
    yield* await Promise.all(next.map(read));
    next = [];
  }
  yield* await Promise.all(next.map(read));
  for await (const outcome of files.gone(seen)) yield* goneRow(outcome);
}

function goneRow(outcome: BatchOutcome): BatchRow[] {
  const { itemId: id, workflowId, digest, priceClass, model, attempts } = outcome;
  if (attempts === 0) return [];
  return [
    {
      item: { id, variant: 1, workflowId, input: { model, prompt: '' }, digest, priceClass, carried: {} },
      outcome,
      isGone: true,
    },
  ];
}

/** The status of a row: how the item ended, or `unfinished`. */
export type RowStatus = OutcomeStatus | 'unfinished';

export function statusOf({ outcome }: BatchRow): RowStatus {
  return outcome?.status ?? 'unfinished';
}

const shownStatus = (row: BatchRow): RowStatus | 'gone' => (row.isGone === true ? 'gone' : statusOf(row));

/** What all attempts of an item cost, or may yet cost; null where it is not known what its task costs, or whether it has one. */
export function creditsOf(outcome: BatchOutcome | null): number | null {
  if (outcome === null) return null;
  const { taskId, finalCredits, reservedCredits, earlierCredits, error } = outcome;
  const mayBePaid = taskId !== null || error?.code === FAILURE.SubmitUnresolved;
  if (mayBePaid && finalCredits === null && reservedCredits === null) return null;
  return round(earlierCredits + attemptCredits(outcome, 0));
}

/** The folder of a batch in its store, where its tables, its report and the folder of each item are. */
export function folderOf(batchId: string): string {
  return safeName(batchId);
}

/**
 * The place of a stored file in the folder of its batch, such as `fox/1.png`, with `/` on every system; null for a file that
 * is elsewhere. It stays right when the store is moved.
 */
export function placeOf(uri: string, batchId: string): string | null {
  // Not by the system's own rules: the store may have been written on another one.
  const name = uri.startsWith('file:') ? decodeURIComponent(new URL(uri).pathname) : uri;
  // A result is named by its Workflow ID, `<batch>/<item>`, and its number.
  const [folder, item, file] = name.split('/').slice(-3);
  return folder === folderOf(batchId) ? `${item}/${file}` : null;
}

/** The URI of a place in the folder of a batch. */
export function uriOf(store: Store, batchId: string, place: string): string {
  const address = absoluteAddress(store.address).replace(/\/+$/, '');
  const name = `${folderOf(batchId)}/${place}`;
  return address.startsWith('file:')
    ? `${address}/${name.split('/').map(encodeURIComponent).join('/')}`
    : `${address}/${name}`;
}

/** Columns of `results.csv` around those that the input carried along. */
const BEFORE: Readonly<Record<string, (row: BatchRow, place: Place) => Cell>> = {
  id: ({ item }) => item.id,
  model: ({ item }) => item.input.model,
  prompt: ({ item }) => item.input.prompt ?? null,
  params: ({ item }) => (item.input.params === undefined ? null : JSON.stringify(item.input.params)),
};
const AFTER: typeof BEFORE = {
  status: shownStatus,
  credits: ({ outcome }) => creditsOf(outcome),
  path: ({ outcome }, place) => (outcome?.files ?? []).map(({ uri }) => place(uri) ?? uri).join(' | ') || null,
  error: ({ outcome }) => outcome?.error?.code ?? null,
  message: ({ outcome }) => outcome?.error?.message ?? null,
  task_id: ({ outcome }) => outcome?.taskId ?? null,
  workflow_id: ({ item }) => item.workflowId,
  attempts: ({ outcome }) => outcome?.attempts ?? null,
  ended_at: ({ outcome }) => outcome?.endedAt ?? null,
  simulated: ({ outcome }) => outcome?.simulated ?? null,
};

/** The place of a stored file as the tables name it. */
type Place = (uri: string) => string | null;

/** The lines of `results.csv`. A carried column that has the name of one of ours is called `input.<name>`. */
export async function* csvOf(rows: AsyncIterable<BatchRow>, columns: readonly string[], place: Place) {
  const ours = { ...BEFORE, ...AFTER };
  const carried = columns.map((name) => (Object.hasOwn(ours, name) ? `input.${name}` : name));
  yield csv([[...Object.keys(BEFORE), ...carried, ...Object.keys(AFTER)]]);
  for await (const row of rows) {
    const cells = (of: typeof BEFORE): Cell[] => Object.values(of).map((cell) => cell(row, place));
    const own = columns.map((name) => (Object.hasOwn(row.item.carried, name) ? (row.item.carried[name] ?? '') : ''));
    yield csv([[...cells(BEFORE), ...own, ...cells(AFTER)]]);
  }
}

/** The lines of `results.jsonl`: all that is known of each item, under the names of its input and its outcome record. */
export async function* jsonlOf(rows: AsyncIterable<BatchRow>, place: Place, retry: string) {
  for await (const row of rows) {
    const { id, workflowId, input, carried } = row.item;
    const { files = [], ...known } = row.outcome ?? {};
    const { model, prompt = null, params = {}, references = [], labels = {} } = input;
    const placed = files.map((file) => ({ path: place(file.uri), ...file }));
    const { version: _, itemId: __, digest: ___, priceClass: ____, retry: _____, ...outcome } = known as BatchOutcome;
    const about = { id, workflowId, model, prompt, params, references, labels, carried };
    const { error } = outcome;
    const advised = row.outcome && error && { error: { ...error, action: itemAdvice(row.outcome, input, retry) } };
    const result = { ...outcome, ...advised, status: shownStatus(row), credits: creditsOf(row.outcome), files: placed };
    yield `${JSON.stringify({ ...about, ...result })}\n`;
  }
}

/**
 * Writes both tables into the folder of the batch. Returns their URIs.
 * @param retry - The command that tries items of the batch again.
 * @throws StoreUnavailable
 */
export async function writeResults(store: Store, files: BatchFiles, manifest: BatchManifest, retry: string) {
  const { batchId } = manifest;
  const folder = folderOf(batchId);
  const place: Place = (uri) => placeOf(uri, batchId);
  const put = async (name: string, contentType: string, lines: AsyncIterable<string>): Promise<string> =>
    (await store.put(`${folder}/${name}`, bytesOf(lines), { contentType })).uri;
  return {
    csv: await put('results.csv', 'text/csv', csvOf(rowsOf(files, manifest), manifest.columns, place)),
    jsonl: await put('results.jsonl', 'application/jsonl', jsonlOf(rowsOf(files, manifest), place, retry)),
  };
}

/** A text in pieces that are worth a write each. */
export async function* bytesOf(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  let piece = '';
  for await (const text of texts) {
    piece += text;
    if (piece.length < CHUNK) continue;
    yield Buffer.from(piece);
    piece = '';
  }
  if (piece !== '') yield Buffer.from(piece);
}
