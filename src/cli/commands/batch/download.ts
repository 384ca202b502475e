import { mkdir } from 'node:fs/promises';
import { download as downloads, namesBy, namesOfStore } from '../../../batch/download.js';
import { checkNames, readTemplate } from '../../../batch/input/names.js';
import { rowsOf } from '../../../batch/results.js';
import { counted, number } from '../../batch-progress.js';
import { findBatch, STORE } from '../../batches.js';
import { STATUS, UsageError } from '../../errors.js';
import { examples, type Flags, type Register, type Texts } from '../../options.js';
import { print, printJson, Progress, quoted, say } from '../../output.js';
import { interruption } from '../../terminal.js';

// As many problems as a person reads.
const NAMED = 20;

export const register: Register = (command) => {
  command
    .option(
      '--name <template>',
      'names of the files from columns, as "{sku}-{n}" (default: that of batch run, or of the store)',
    )
    .option(...STORE)
    .addHelpText(
      'after',
      `${examples('batch download spring ./here', 'batch download spring ./here --name "{sku}-{n}"')}

Each file is compared with its SHA-256. A file that is there already and whole is not copied again, so the same command
goes on after an interruption; a file of another content is never replaced. Needs no Temporal and no API key.`,
    );
  return download;
};

async function download(
  options: Texts<'store' | 'name'> & Flags<'json'>,
  batchId = '',
  directory = '',
): Promise<number> {
  const { json = false } = options;
  const { store, files, head, manifest } = await findBatch(batchId, options);
  const name = options.name ?? head.name;
  const template = name === null ? null : readTemplate(name, manifest.columns);
  if (template !== null) await checkNames(template, files.items(manifest));
  const interrupted = interruption();
  if (directory.trim() === '') throw new UsageError('directory: is empty.');
  await mkdir(directory, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`directory: ${directory} cannot be written (${error.code}).`);
  });
  const progress = new Progress();
  const nameOf = template === null ? namesOfStore(batchId) : namesBy(template);
  const problems: { readonly itemId: string; readonly uri: string; readonly file: string; readonly problem: string }[] =
    [];
  let [copied, there] = [0, 0];
  const rows = rowsOf(files, manifest);
  for await (const { outcome, ...one } of downloads(store, batchId, rows, { directory, nameOf, signal: interrupted })) {
    if (outcome === 'copied') copied += 1;
    else if (outcome === 'there') there += 1;
    else if (!interrupted.aborted) problems.push({ ...one, problem: outcome.problem });
    const done = copied + there;
    const thousand = Math.floor(done / 1_000);
    // Where nobody watches, a line for each thousand is enough, and none says that one of three is done.
    if (process.stderr.isTTY || thousand > 0)
      progress.set('', `${counted(done, 'file')}, ${number(there)} of them there already`, `${thousand}`);
  }
  const named = options.name === undefined ? '' : ` --name ${quoted(options.name)}`;
  const kept = options.store === undefined ? '' : ` --store ${quoted(options.store)}`;
  const again = `rivya-temporal batch download ${quoted(batchId)} ${quoted(directory)}${kept}${named}`;
  if (json) printJson({ batchId, directory, copied, there, problems, interrupted: interrupted.aborted });
  else print(`${copied} copied to ${directory}, ${there} were there already.`);
  for (const { uri, problem } of problems.slice(0, NAMED)) say(`${uri} was not copied: ${problem.replace(/\.$/, '')}.`);
  if (problems.length > NAMED) say(`${problems.length - NAMED} more were not copied.`);
  if (interrupted.aborted) {
    say(`Interrupted. The rest: ${again}`);
    return STATUS.interrupted;
  }
  if (problems.length > 0) say(`Nothing is paid again for them. Once the cause is gone: ${again}`);
  return problems.length === 0 ? STATUS.done : STATUS.unread;
}
