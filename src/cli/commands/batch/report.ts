import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import type { BatchHead } from '../../../batch/files.js';
import { reportOf } from '../../../batch/report.js';
import { bytesOf, folderOf, placeOf, rowsOf, uriOf, writeResults } from '../../../batch/results.js';
import type { StoredFile } from '../../../contract/index.js';
import { targetOf } from '../../../temporal/connect.js';
import { workflowLink } from '../../../temporal/links.js';
import { commands } from '../../advice.js';
import { balanceOf } from '../../batch-api.js';
import { commandOf } from '../../batch-commands.js';
import { findBatch, STORE } from '../../batches.js';
import { localSession } from '../../context.js';
import { STATUS, UsageError } from '../../errors.js';
import { examples, type Flags, type Register, type Texts } from '../../options.js';
import { print, printJson, readableUri, say } from '../../output.js';
import { showInBrowser } from '../../show.js';

type Options = Texts<'store' | 'output'> & Flags<'open' | 'json'>;

export const register: Register = (command) => {
  command
    .option(...STORE)
    .option('-o, --output <file>', 'write the page to this file (default: report.html beside the results)')
    .option('--open', 'open the page in the browser')
    .addHelpText(
      'after',
      `${examples('batch report spring --open', 'batch report spring -o spring.html')}

It also writes results.csv and results.jsonl beside the results. All three are made from the records in the store, so they
are right also when Temporal has forgotten the batch, or is gone. The page names the files by their places relative to it.`,
    );
  return report;
};

async function report(options: Options, batchId = ''): Promise<number> {
  const { output, open = false, json = false } = options;
  const found = await findBatch(batchId, options);
  const { store, files, manifest, settings } = found;
  const isLocal = store.address.startsWith('file:');
  if (output?.trim() === '') throw new UsageError('--output: is empty.');
  if (open && output === undefined && !isLocal) {
    throw new UsageError(
      `--open: the store ${store.address} is no folder of this machine. Give --output <file> as well.`,
    );
  }
  const balance = await balanceNow(found);
  const retry = commands(commandOf('retry', found, batchId));
  const tables = await writeResults(store, files, manifest, retry);

  const session = await localSession();
  const { namespace } = targetOf(session?.address);
  const uiUrl = settings.uiUrl ?? session?.uiUrl ?? null;
  const target = output === undefined ? null : path.resolve(output);
  /** The address of a file in the folder of the batch, as the page names it. */
  const hrefIn = (place: string): string | null => {
    if (target === null) return hrefOfPath(place);
    return isLocal
      ? hrefOfPath(path.relative(path.dirname(target), fileURLToPath(uriOf(store, batchId, place))))
      : null;
  };
  const page = reportOf(rowsOf(files, manifest), {
    manifest,
    balance,
    hrefOf: ({ uri }: StoredFile) => {
      const place = placeOf(uri, batchId);
      return place === null ? null : hrefIn(place);
    },
    linkOf: (workflowId) => workflowLink({ uiUrl, namespace }, workflowId),
    tables: Object.fromEntries(
      ['results.csv', 'results.jsonl'].flatMap((name) => {
        const href = hrefIn(name);
        return href === null ? [] : [[name, href]];
      }),
    ),
    retry,
    madeAt: new Date(),
  });
  const written =
    target === null
      ? (await store.put(`${folderOf(batchId)}/report.html`, bytesOf(page), { contentType: 'text/html' })).uri
      : await writeFile(target, page);
  if (json) printJson({ batchId, report: written, ...tables });
  else for (const uri of [written, tables.csv, tables.jsonl]) print(readableUri(uri));
  if (!open) return STATUS.done;
  const problem = await showInBrowser(written);
  if (problem !== null) say(`It could not be opened (${problem}). Open the page in a browser.`);
  return STATUS.done;
}

/** The balance of the account before the batch and now, or when a command looked last. */
async function balanceNow({ settings, files, head, manifest }: Awaited<ReturnType<typeof findBatch>>) {
  const { balance } = head;
  if (balance === null) return null;
  // The report is about what was done; that the balance cannot be read now is no reason not to write it.
  const credits = await balanceOf({ settings, api: manifest.api });
  if (credits === null) return balance;
  const now: BatchHead['balance'] = { ...balance, last: { at: new Date().toISOString(), credits } };
  await files.changeHead(() => ({ balance: now }));
  return now;
}

function hrefOfPath(place: string): string {
  return place.split(/[\\/]/).map(encodeURIComponent).join('/');
}

/** Writes the page whole or not at all. Returns the path. */
async function writeFile(file: string, page: AsyncIterable<string>): Promise<string> {
  const part = `${file}.${randomUUID()}.part`;
  try {
    await mkdir(path.dirname(file), { recursive: true });
    await pipeline(bytesOf(page), createWriteStream(part, { flags: 'wx' }));
    await rename(part, file);
    return file;
  } catch (error) {
    const { code, path: place } = error as NodeJS.ErrnoException;
    if (code === undefined || place === undefined) throw error;
    throw new UsageError(`--output: ${file} cannot be written (${code}).`);
  } finally {
    await rm(part, { force: true });
  }
}
