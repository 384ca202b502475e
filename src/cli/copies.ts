/** `--output`: the files of a result, copied out of the store into a folder and compared with their SHA-256. */
import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { readSettings } from '../config.js';
import type { GenerationResult } from '../contract/index.js';
import { copyFile } from '../storage/copy.js';
import { safeName } from '../storage/names.js';
import { findStore } from './context.js';
import { STATUS, UsageError } from './errors.js';
import { printTable, quoted, say } from './output.js';

/** What became of one file: `problem` says why it was not copied. */
interface Copy {
  readonly uri: string;
  readonly file: string;
  readonly problem: string | null;
}

/** A folder that takes the files of results. */
export interface Output {
  readonly directory: string;
  copy(workflowId: string, result: Partial<GenerationResult>, interrupted: AbortSignal): Promise<readonly Copy[]>;
}

/** The folder of `--output`, made and judged before anything is paid; null without the option. @throws UsageError */
export async function openOutput(directory: string | undefined, settings = readSettings()): Promise<Output | null> {
  if (directory === undefined) return null;
  const refused = (why: string) => new UsageError(`--output: ${why}. Nothing was sent and nothing was paid.`);
  if (directory.trim() === '') throw refused('is empty');
  const { store } = (await findStore(settings)) ?? {};
  if (store === undefined) throw refused('needs the store of the Workers: set RIVYA_STORE as they have it');
  try {
    await mkdir(directory, { recursive: true });
    await access(directory, constants.W_OK);
  } catch (error) {
    throw refused(`${directory} cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
  return {
    directory,
    async copy(workflowId, { files = [], urls = [] }, interrupted) {
      const name = (n: number, uri: string) => `${safeName(workflowId)}-${n + 1}${endingOf(uri)}`;
      if (files.length === 0) {
        const problem = 'is a link only: the Workers have no store';
        return urls.map((uri, n) => ({ uri, file: path.join(directory, name(n, uri)), problem }));
      }
      const copies: Copy[] = [];
      for (const [n, stored] of files.entries()) {
        const file = path.join(directory, name(n, stored.uri));
        const copied = await copyFile(store, stored, file, interrupted);
        copies.push({ uri: stored.uri, file, problem: typeof copied === 'string' ? null : copied.problem });
      }
      return copies;
    },
  };
}

/** Says what was copied and what was not. Returns the exit status. */
export function reportCopies(copies: readonly Copy[], workflowId: string, directory: string, json: boolean): number {
  if (!json)
    printTable(
      copies.flatMap(({ file, problem }) => (problem === null ? [['copied', file]] : [])),
      '  ',
    );
  const missing = copies.filter(({ problem }) => problem !== null);
  for (const { uri, problem } of missing) say(`--output: ${uri} was not copied: ${problem?.replace(/\.$/, '')}.`);
  if (missing.length === 0) return STATUS.done;
  const again = `rivya-temporal wait ${quoted(workflowId)} --output ${quoted(directory)}`;
  say(`The generation has succeeded and is not paid again. Once the cause is mended: ${again}`);
  return STATUS.unread;
}

/** The ending of a URI as a name may have it. */
function endingOf(uri: string): string {
  return /\.[a-z0-9]{1,8}$/i.exec(uri.replace(/[?#].*/s, ''))?.[0] ?? '';
}
