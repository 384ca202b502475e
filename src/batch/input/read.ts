/**
 * The input of a batch: a file of prompts becomes checked items, before anything is started or paid. The file is read once
 * for the check, and again whenever the items are needed; a file that has changed in between is refused.
 */
import { createHash, type Hash } from 'node:crypto';
import path from 'node:path';
import type { ModelInfo } from '../../api/index.js';
import type { BatchItem } from '../../contract/batch.js';
import { InvalidInput } from '../../policy/fields.js';
import type { Generation } from '../../policy/input.js';
import { PAGE_SIZE, SourceChanged, type ItemSource, type ManifestAbout } from '../files.js';
import { PriceClasses } from './classes.js';
import { addBytes, recordsOf } from './file.js';
import { ItemIds } from './ids.js';
import { itemsOf, type InputDefaults, type UnpricedItem } from './items.js';
import { checkModel, modelList, paramTypeOf, type ModelList } from './models.js';
import { BatchInputError, InputRefused, Problems } from './problems.js';

export interface BatchInputOptions {
  readonly batchId: string;
  readonly defaults?: InputDefaults;
  /** Encoding of the file by its name on the web, as `windows-1252`. Default: found out. */
  readonly encoding?: string;
  /** The list of models; null where it cannot be had. */
  readonly models: readonly ModelInfo[] | null;
  /** False where the API may have models that are not in the list. Default true. */
  readonly whole?: boolean;
  /** Host of the API, or `emulator`. */
  readonly api: string;
  /** Digests of the items that the batch has had, as `earlierItems` gives them. */
  readonly earlier?: ReadonlyMap<string, string>;
}

export interface BatchInputFile {
  /** Throws SourceChanged where the file is not the one that was checked. */
  readonly source: ItemSource;
  readonly about: ManifestAbout;
  readonly items: number;
}

// Columns that no table of results has room for are a sign of data in the wrong place.
const MOST_COLUMNS = 500;
// Characters. A page of a manifest is one text, and in memory several times while its items are started.
const LARGEST_PAGE = 64e6;

const TOO_LARGE = `with this line, fewer than ${PAGE_SIZE} items in a row have more than ${LARGEST_PAGE / 1e6} MB, and so many are read at a time. Use shorter prompts, and references in the place of data in params`;

/** @throws BatchInputError with all problems of the file. */
export async function readBatchInput(file: string, options: BatchInputOptions): Promise<BatchInputFile> {
  const models = options.models === null ? null : modelList(options.models, options.whole);
  const problems = new Problems(file);
  const classes = new PriceClasses();
  const columns = new Set<string>();
  const hash = createHash('sha256');
  let items = 0;
  try {
    for await (const item of itemsIn(file, options, models, hash, (line, problem) => problems.add(line, problem))) {
      items += 1;
      classes.add(item);
      for (const name of Object.keys(item.carried)) columns.add(name);
      if (columns.size > MOST_COLUMNS) throw new InputRefused(null, `There are more than ${MOST_COLUMNS} columns`);
    }
  } catch (error) {
    if (!(error instanceof InputRefused)) throw error;
    problems.add(error.line, `${error.message}.`);
  }
  problems.check();
  if (items === 0) throw new BatchInputError(file, [{ line: null, problem: 'The file has no items.' }], 1);

  const about = {
    classes: classes.list((model) => models?.byId.get(model)?.baseCredits ?? null),
    columns: [...columns],
    source: digestWith(hash.copy(), file, options),
    api: options.api,
  };
  async function* source(): AsyncGenerator<BatchItem> {
    const again = createHash('sha256');
    const changed = new SourceChanged(
      `${file} has changed while it was read. Nothing was started with it. Start again.`,
    );
    try {
      for await (const item of itemsIn(file, options, models, again, () => undefined)) {
        const priced = classes.priced(item);
        if (priced === null) throw changed;
        yield priced;
      }
    } catch (error) {
      throw error instanceof InputRefused ? changed : error;
    }
    if (digestWith(again, file, options) !== about.source) throw changed;
  }
  return { source, about, items };
}

/** The digest that `source` of a manifest has: of the bytes of the file and of all that decides what they mean. */
export async function sourceDigest(file: string, options: BatchInputOptions): Promise<string> {
  try {
    return digestWith(await addBytes(createHash('sha256'), file), file, options);
  } catch (error) {
    if (!(error instanceof InputRefused)) throw error;
    throw new BatchInputError(file, [{ line: null, problem: `${error.message}.` }], 1);
  }
}

function digestWith(hash: Hash, file: string, { batchId, defaults, encoding, api }: BatchInputOptions): string {
  return hash.update(JSON.stringify([batchId, defaults, encoding, api, folderOf(file)])).digest('hex');
}

function folderOf(file: string): string {
  return path.dirname(path.resolve(file));
}

/** The items of a file in the order of its lines; a line that is wrong is reported and left out. */
async function* itemsIn(
  file: string,
  { batchId, defaults = {}, encoding, earlier = new Map<string, string>() }: BatchInputOptions,
  models: ModelList,
  hash: Hash,
  onWrong: (line: number, problem: string) => void,
): AsyncGenerator<UnpricedItem> {
  const check = (generation: Generation): void => checkModel(generation, models);
  const context = { batchId, defaults, directory: folderOf(file), ids: new ItemIds(), earlier, check };
  const typeOf = (model: string, param: string) => paramTypeOf(models, model, param);
  const reading = { encoding, model: defaults.model, typeOf, hash };
  let [items, size] = [0, 0];
  for await (const { line, draft } of recordsOf(file, reading)) {
    try {
      for (const item of itemsOf(draft(), context)) {
        if (items++ % PAGE_SIZE === 0) size = 0;
        size += JSON.stringify(item).length;
        if (size > LARGEST_PAGE) throw new InputRefused(line, TOO_LARGE);
        yield item;
      }
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      // Of a value inside of a JSON line, its place in the line is enough.
      onWrong(line, error.problem.replace(/^The line(\.|: )/, ''));
    }
  }
}
