import { inLanes } from '../../../batch/lanes.js';
import { recordUnseen } from '../../../batch/outcome.js';
import { rowsOf } from '../../../batch/results.js';
import { retriesOf, type Retries } from '../../../batch/retries.js';
import { runningIds } from '../../../batch/running.js';
import { FAILURE } from '../../../contract/index.js';
import { advice } from '../../advice.js';
import { refuseBesidePart, runPart } from '../../batch-again.js';
import { commandOf } from '../../batch-commands.js';
import { creditsOption } from '../../batch-options.js';
import { refuseSecondRun } from '../../batch-place.js';
import { mayGoOn, refuseOtherApi, refuseOverBudget } from '../../batch-plan.js';
import { number } from '../../batch-progress.js';
import { allowCredits, batchAt, connectPlace, type Running } from '../../batch-work.js';
import { STORE } from '../../batches.js';
import { STATUS } from '../../errors.js';
import { examples, type Flags, type Register, type Texts } from '../../options.js';
import { print, printJson, printTable, say } from '../../output.js';
import { interruption } from '../../terminal.js';

type Options = Texts<'store'> & Flags<'yes' | 'dryRun' | 'json'> & { readonly maxCredits?: number };

// Records that are written at the same time.
const AT_ONCE = 16;
const NAMED = 20;

export const register: Register = (command) => {
  command
    .option(...STORE)
    .option('--max-credits <n>', 'credits that all items together may cost, with what was spent before', creditsOption)
    .option('--dry-run', 'only say what would be tried again, and what it would cost')
    .option('--yes', 'do not ask; without a terminal a limit of credits is needed as well')
    .addHelpText(
      'after',
      `${examples('batch retry spring --dry-run', 'batch retry spring --max-credits 26000')}

An item that has a task which has not failed is waited for again, which is free. A new task is bought only where the API
says that the last one failed, or where none was made, and only for errors that a new one can change. An item whose submit
has no answer is never tried again by itself: its task may exist. It is listed, and a person decides.`,
    );
  return retry;
};

async function retry(options: Options, batchId = ''): Promise<number> {
  const { json = false, dryRun = false } = options;
  const { place, found } = await batchAt(batchId, options);
  const { files, manifest, head } = found;
  refuseOtherApi(manifest, place);
  const running = await connectPlace(batchId, place);
  const seen = (await running?.handle.look()) ?? null;
  // A batch that runs records its items itself.
  if (running !== null && seen?.isRunning !== true) {
    await recordUnseen({ ...found, client: running.client, api: manifest.api });
  }
  const retries = await retriesOf(rowsOf(files, manifest), manifest.classes);
  const held = running === null ? [] : await heldUnresolved(running, batchId);
  const bought = retries.buy.reduce((sum, { items }) => sum + items, 0);
  const document = {
    batchId,
    wait: retries.wait.length,
    buy: retries.buy,
    never: retries.never,
    unresolved: [...retries.unresolved, ...held],
  };
  if (json && (dryRun || retries.wait.length + bought === 0)) printJson(document);
  else sayRetries(retries, held);
  if (dryRun || retries.wait.length + bought === 0) {
    say('Nothing was tried again and nothing was paid.');
    return dryRun || retries.never.length + document.unresolved.length === 0 ? STATUS.done : STATUS.failed;
  }
  const interrupted = interruption();
  if (seen?.isRunning === true) refuseBesidePart(seen, found);
  const maxCredits = options.maxCredits ?? head.settings.maxCredits;
  const credits = retries.buy.reduce((sum, group) => sum + group.credits, 0);
  await refuseOverBudget(credits, found, maxCredits);
  const buys =
    bought > 0 && (await mayGoOn(options, { place, remaining: bought, maxCredits, changes: null, interrupted }));
  if (interrupted.aborted) return STATUS.interrupted;
  const chosen = [
    ...retries.wait.map((outcome) => ({ ...outcome, retry: 'wait' as const })),
    ...(buys ? retries.bought.map((outcome) => ({ ...outcome, retry: 'buy' as const })) : []),
  ];
  if (chosen.length === 0) {
    say('Nothing was tried again and nothing was paid.');
    return STATUS.done;
  }
  await refuseSecondRun(place);
  await inLanes(chosen, AT_ONCE, (outcome) => files.writeOutcome(outcome));
  if (running !== null && (await running.handle.look())?.isRunning === true) {
    if (options.maxCredits !== undefined) await allowCredits(running, files, options.maxCredits);
    await running.handle.request('setManifest', { manifest: head.manifest });
    if (json) printJson(document);
    else
      print(
        advice(
          `${number(chosen.length)} items are tried again. Watch them with: ${commandOf('status', place, batchId)} --watch`,
        ),
      );
    return STATUS.done;
  }
  const ids = new Set(chosen.map(({ itemId }) => itemId));
  const without = new Set<string>();
  for await (const { id } of files.items(manifest)) if (!ids.has(id)) without.add(id);
  const again = commandOf('retry', place, batchId);
  const part = { manifest, listed: head.manifest, without, maxCredits: options.maxCredits };
  return runPart({ place, files, head, ...part, again, options, interrupted });
}

/** Workflow IDs of items that are held because their submit has no answer. */
async function heldUnresolved({ client }: Running, batchId: string): Promise<string[]> {
  return runningIds(client, batchId, `RivyaStatus = 'held:${FAILURE.SubmitUnresolved}'`);
}

function sayRetries({ wait, buy, never, unresolved }: Retries, held: readonly string[]): void {
  if (wait.length > 0)
    print(
      `Waited for again, free: ${number(wait.length)} ${wait.length === 1 ? 'item that has' : 'items that have'} a task.`,
    );
  if (buy.length > 0) {
    print('Bought anew, one task for each:');
    const rows = buy.map(({ code, items, credits, message }) => [code, items, credits, message]);
    printTable([['ERROR', 'ITEMS', 'CREDITS', 'FOR EXAMPLE'], ...rows], '  ');
  }
  if (never.length > 0) {
    print('Not tried again, because the same input would fail again:');
    printTable(
      never.map(({ code, items, message }) => [code, items, message]),
      '  ',
    );
  }
  const all = [...unresolved, ...held];
  if (all.length === 0) return;
  print(
    `Never tried again by itself: the submit of ${number(all.length)} has no answer, so a task may exist and be paid for.`,
  );
  for (const workflowId of all.slice(0, NAMED)) print(`  ${workflowId}`);
  if (all.length > NAMED) print(`  and ${number(all.length - NAMED)} more`);
  print(
    advice(
      'Look for their tasks in the Rivya Studio, then for each: rivya-temporal resume <workflow-id> --task-id <id>, or --reason "…"',
    ),
  );
}
