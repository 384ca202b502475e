import { setTimeout as sleep } from 'node:timers/promises';
import { inLanes } from '../../../batch/lanes.js';
import { runningIds } from '../../../batch/running.js';
import { advice } from '../../advice.js';
import { goOn } from '../../batch-again.js';
import { commandOf } from '../../batch-commands.js';
import { creditsOption } from '../../batch-options.js';
import { number } from '../../batch-progress.js';
import { allowCredits, batchAt, connectPlace, releaseItems, type Running } from '../../batch-work.js';
import { STORE } from '../../batches.js';
import { STATUS, UsageError } from '../../errors.js';
import { examples, type Flags, type Register, type Texts } from '../../options.js';
import { print, printJson, say } from '../../output.js';
import { confirmSpending, interruption } from '../../terminal.js';

type Options = Texts<'store'> & Flags<'items' | 'yes' | 'json'> & { readonly maxCredits?: number };

const SENT = 'No Worker answers, so it waits as a Signal until one does.';
// Cancels that are sent at the same time.
const AT_ONCE = 10;
const LOOK_EVERY_MS = 1_000;
// An item that waits for the answer to its submit ends after that.
const RECORDED_WITHIN_MS = 90_000;

/** `batch pause`, `batch resume` and `batch cancel`. */
export const register: Register = (command) => {
  const name = command.name() as 'pause' | 'resume' | 'cancel';
  command.option(...STORE);
  if (name === 'resume') {
    command
      .option('--max-credits <n>', 'credits that all items together may cost', creditsOption)
      .option('--yes', 'do not ask; without a terminal a limit of credits is needed as well');
  }
  if (name === 'cancel') {
    command
      .option('--items', 'cancel the items that run, too: nobody waits for their tasks then, which go on and are paid')
      .option('--yes', 'with --items: do not ask');
  }
  command.addHelpText('after', examples(`batch ${name} spring`));
  return { pause, resume, cancel }[name];
};

async function pause(options: Options, batchId = ''): Promise<number> {
  const { running } = await runningBatch(batchId, options);
  const answer = await running.handle.request('pause');
  return done(batchId, 'paused', answer, options);
}

async function resume(options: Options, batchId = ''): Promise<number> {
  const { place, found } = await batchAt(batchId, options);
  const running = await connectPlace(batchId, place);
  const seen = await running?.handle.look();
  if (running === null || seen?.isRunning !== true) {
    const interrupted = interruption();
    return goOn({ place, found, options, interrupted, maxCredits: options.maxCredits });
  }
  await releaseItems(running, batchId);
  const { maxCredits } = options;
  if (maxCredits !== undefined) {
    await allowCredits(running, found.files, maxCredits);
    // A larger limit ends a hold of the budget by itself.
    const state = (await running.handle.look())?.state;
    if (state?.phase !== 'paused' && state?.hold == null) return done(batchId, 'resumed', 'It goes on.', options);
  }
  return done(batchId, 'resumed', await running.handle.request('resume'), options);
}

async function cancel(options: Options, batchId = ''): Promise<number> {
  const { running, place } = await runningBatch(batchId, options);
  const { items = false, yes = false } = options;
  if (items && !yes) {
    const question = 'Nobody waits for the tasks of its items then; they go on at Rivya and are paid. Go on? [y/N] ';
    const interrupted = interruption();
    if (!(await confirmSpending(question, 'Give --yes to go on.', interrupted))) {
      if (interrupted.aborted) return STATUS.interrupted;
      throw new UsageError('Nothing was cancelled.');
    }
  }
  const cancelled = items ? await cancelItems(running, batchId) : 0;
  await running.handle.cancel();
  const retry = `To wait for their tasks again, free: ${commandOf('retry', place, batchId)}`;
  const says = items ? `${number(cancelled)} items were cancelled. ${retry}` : 'Items that run go on.';
  return done(batchId, 'cancelled', `Nothing more is started. ${says}`, options);
}

/** Cancels all items that run, and waits until the batch has recorded their ends. Returns how many there were. */
async function cancelItems({ client, handle }: Running, batchId: string): Promise<number> {
  const cancelled = new Set<string>();
  const begun = Date.now();
  // It starts none meanwhile. Where no Worker answers, nobody records their ends either.
  const isAnswered = await handle.request('pause').then(
    (answer) => answer !== null,
    (error: unknown) => {
      if (!(error instanceof UsageError)) throw error;
      // It is paused already.
      return true;
    },
  );
  for (;;) {
    const ids = (await runningIds(client, batchId)).filter((id) => !cancelled.has(id));
    await inLanes(ids, AT_ONCE, async (id) => {
      cancelled.add(id);
      // One that has ended meanwhile needs no cancel.
      await client.workflow
        .getHandle(id)
        .cancel()
        .catch(() => undefined);
    });
    await sleep(LOOK_EVERY_MS);
    const seen = await handle.look();
    const isOver = seen?.isFresh === true && seen.state?.counts.open === 0 && ids.length === 0;
    const isAlone = !isAnswered || seen?.isRunning !== true;
    if (isOver || isAlone || Date.now() - begun > RECORDED_WITHIN_MS) return cancelled.size;
  }
}

/** @throws UsageError where nothing of the batch runs. */
async function runningBatch(batchId: string, options: Options) {
  const { place } = await batchAt(batchId, options);
  const running = await connectPlace(batchId, place);
  if (running !== null && (await running.handle.look())?.isRunning === true) return { running, place };
  throw new UsageError(
    advice(
      `Batch "${batchId}" does not run, so nothing is started. To go on with it: ${commandOf('resume', place, batchId)}`,
    ),
  );
}

function done(batchId: string, what: string, answer: string | null, { json = false }: Options): number {
  if (json) printJson({ batchId, [what]: answer !== null, answer });
  else if (answer !== null) print(advice(answer));
  if (answer === null) say(SENT);
  return STATUS.done;
}
