/** A batch at work: Temporal and Worker where they are missing, and the Workflow `rivyaBatch` up to its end. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { BatchFiles, BatchHead } from '../batch/files.js';
import { runningIds } from '../batch/running.js';
import { memoOf } from '../client.js';
import { hasKey } from '../config.js';
import { FAILURE, RESUME, SHARED_CODES } from '../contract/index.js';
import type { BatchSettings } from '../contract/index.js';
import { endedOf, LIST_CHANGED } from '../policy/index.js';
import { isAlive, publishSession, withdrawSession } from '../local/dev-session.js';
import { absoluteAddress } from '../storage/open.js';
import { workflowLink } from '../temporal/links.js';
import { unpolled } from '../temporal/pollers.js';
import { describeRun } from '../temporal/runs.js';
import { hasAttributes } from '../temporal/search-attributes.js';
import { askWhetherOver } from './account-handle.js';
import { advice } from './advice.js';
import { batchAdvice, commandOf } from './batch-commands.js';
import { reportEnd, type EndingWork } from './batch-end.js';
import { BatchHandle, endLeft, type SeenBatch } from './batch-handle.js';
import { placeOf, type BatchPlace } from './batch-place.js';
import { counted, followBatch, type BatchEnd } from './batch-progress.js';
import { findBatch } from './batches.js';
import { openTemporal } from './context.js';
import { STATUS, UsageError } from './errors.js';
import type { Texts } from './options.js';
import { Progress, say } from './output.js';

// A closed Workflow is the record of what was paid; the dev server's own default is a day.
const RETENTION_DAYS = 30;

type Folders = () => Promise<readonly string[]>;

/** The Temporal of a batch, as far as it runs. */
export type Running = Awaited<ReturnType<typeof openPlace>>;

/**
 * Connects to the Temporal of a batch, or starts one with a Worker.
 * @param folders - Finds those of the references of its items: a Worker that is started may read there.
 */
export async function openPlace(batchId: string, place: BatchPlace, folders?: Folders) {
  const { settings, at } = place;
  if (at.kind !== 'own') {
    const session = at.kind === 'session' ? at.session : undefined;
    const temporal = await openTemporal(settings, undefined, session);
    const handle = new BatchHandle(temporal.client, batchId, temporal.taskQueue);
    return { ...temporal, handle, done: null, stop: async () => undefined };
  }
  const stack = await startOwn(batchId, place, at.directory, folders);
  const handle = new BatchHandle(stack.client, batchId, stack.settings.taskQueue);
  const stop = async (): Promise<void> => {
    withdrawSession(process.pid, at.directory);
    await stack.stop();
  };
  return { ...stack, taskQueue: stack.settings.taskQueue, handle, stop };
}

/** The batch that a command names, with its place, which finds the store. @throws UsageError where the store has none */
export async function batchAt(batchId: string, options: Texts<'store'>) {
  const place = await placeOf(batchId, options);
  return { place, found: await findBatch(batchId, { store: place.store.address }) };
}

/** Connects to the Temporal of a batch; null where none runs. */
export async function connectPlace(batchId: string, place: BatchPlace): Promise<Running | null> {
  return place.at.kind === 'own' ? null : openPlace(batchId, place);
}

/** Sets the limit of credits of a batch that runs, and of its next start. */
export async function allowCredits({ handle }: Running, files: BatchFiles, maxCredits: number): Promise<void> {
  await handle.request('setMaxCredits', { maxCredits });
  await files.changeHead(({ settings }) => ({ settings: { ...settings, maxCredits } }));
}

async function startOwn(batchId: string, { store }: BatchPlace, directory: string, folders?: Folders) {
  // The state holds prompts and results, which only its owner may read.
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // Loaded here, because it brings the native Worker: other commands start without it.
  const { startStack } = await import('../local/stack.js');
  const isReal = hasKey();
  const starting = startStack({
    env: { ...process.env, RIVYA_STORE: store.address },
    log: say,
    defaultStore: store.address,
    ...(folders !== undefined && { referenceRoots: folders }),
    // It would start items by the list and the limits of before, while a person consents to others.
    beforeWorkers: (client) => endLeft(client, batchId),
    server: {
      port: 0,
      uiPort: 0,
      retentionDays: RETENTION_DAYS,
      dbFilename: path.join(directory, isReal ? 'temporal.db' : 'simulated.db'),
    },
    // The same port at each start: receipts are kept by the address of the API.
    emulator: { port: portOf(directory), stateFile: path.join(directory, 'emulator.json') },
  });
  const stack = await starting.catch((error: unknown) => {
    const { cause } = error as Error;
    if (!(cause instanceof Error) || cause.name !== 'DatabaseInUse') throw error;
    throw new UsageError(
      'Another command has started this batch just now. Start the same command again: it shows how the batch goes. This one has started and paid nothing.',
    );
  });
  const { address, uiUrl, emulator, settings } = stack;
  const session = { pid: process.pid, address, uiUrl, baseUrl: emulator?.url ?? null, taskQueue: settings.taskQueue };
  await publishSession({ ...session, store: absoluteAddress(store.address), directory }, directory);
  if (uiUrl !== null) say(`Temporal UI: ${workflowLink(stack, batchId)}`);
  return stack;
}

/** A port of the dynamic range that a directory always has. */
function portOf(directory: string): number {
  const sum = [...directory].reduce((n, letter) => (n * 31 + letter.charCodeAt(0)) % 16_384, 7);
  return 49_152 + sum;
}

/** @throws UsageError where the namespace lacks the search attributes by which a batch finds its items. */
export async function checkAttributes({ client, namespace }: Pick<Running, 'client' | 'namespace'>): Promise<void> {
  if ((await hasAttributes(client)) !== false) return;
  throw new UsageError(
    advice(
      `A batch finds its items by search attributes, and namespace "${namespace}" lacks some. Register them once with: rivya-temporal setup. Nothing was started and nothing was paid.`,
    ),
  );
}

/** Starts the batch, or lets the one that runs go on with this manifest and these settings. Returns true where it was started. */
async function startOrChange(running: Running, one: Work): Promise<boolean> {
  const { handle } = running;
  const { files, manifest, head, given, resume, listed } = one;
  if (((await files.head())?.manifest ?? null) !== listed) throw new UsageError(LIST_CHANGED);
  const seen = await handle.look();
  const { settings: was = null, hold = null, phase = null, manifest: before = null } = seen?.state ?? {};
  const settings = seen?.isRunning === true ? one.settings : lowered(one, was);
  const isNew = seen?.isRunning !== true && (await handle.start({ manifest: manifest.sha256, settings }));
  if (!isNew && manifest.sha256 !== head.manifest) {
    throw new UsageError(
      `Batch "${handle.batchId}" runs by now, started by another command. Use the same command again. Nothing was started and nothing was paid.`,
    );
  }
  await releaseItems(running, handle.batchId);
  const limit = isNew ? settings.maxCredits : was?.maxCredits;
  if (given.maxCredits === undefined && limit !== undefined && limit !== one.settings.maxCredits) {
    const named = limit === null ? 'No limit of credits' : `The limit of ${counted(limit, 'credit')}`;
    say(`${named} stays, as it was set while the batch ran. For another one, give --max-credits.`);
  }
  if (isNew) return true;
  const { maxFailures, first } = settings;
  const { maxCredits, maxInFlight } = given;
  if (maxCredits !== undefined) await handle.request('setMaxCredits', { maxCredits });
  if (maxInFlight !== undefined) await handle.request('setMaxInFlight', { maxInFlight });
  if (was !== null && was.maxFailures !== maxFailures)
    say(`--max-failures stays ${was.maxFailures ?? 'unlimited'} while the batch runs.`);
  if (before !== manifest.sha256 || was?.first !== first) {
    // The same list as before is no change of it, although some of its items may run alone now.
    const from = listed === null || listed === manifest.sha256 ? {} : { from: listed };
    await handle.request('setManifest', { manifest: manifest.sha256, first, ...from });
  }
  const isPaused = phase === 'paused';
  if (isPaused && !resume)
    say(advice(`It runs already, and is paused. Go on with: ${commandOf('resume', one.place, handle.batchId)}`));
  else if (isPaused || hold !== null) {
    // It may have gone on meanwhile, and then there is nothing to resume.
    await handle.request('resume').catch((error: unknown) => {
      if (!(error instanceof UsageError)) throw error;
    });
  }
  return false;
}

/** The settings of a start: a limit that was lowered while the last run went counts until another one is given. */
function lowered({ settings, given }: Pick<Work, 'settings' | 'given'>, was: BatchSettings | null): BatchSettings {
  if (given.maxCredits !== undefined || was === null || was.maxCredits === null) return settings;
  return { ...settings, maxCredits: Math.min(was.maxCredits, settings.maxCredits ?? was.maxCredits) };
}

/** Keeps the limits that a request has changed in the store, for a start after Temporal has lost them. */
function keepLimits(files: BatchFiles, head: BatchHead): (seen: SeenBatch) => Promise<void> {
  let { maxCredits, maxInFlight } = head.settings;
  return async ({ state, isFresh }) => {
    if (!isFresh || state === null) return;
    const { settings: now } = state;
    if (now.maxCredits === maxCredits && now.maxInFlight === maxInFlight) return;
    ({ maxCredits, maxInFlight } = now);
    await files.changeHead(({ settings }) => ({ settings: { ...settings, maxCredits, maxInFlight } }));
  };
}

// Holds for what was there before the start: a person has seen it in the plan.
const SEEN_BEFORE: ReadonlySet<string> = new Set(['TooManyFailures', 'PriceRose']);

/**
 * Ends such a hold of a batch that was started anew. Returns true where it did.
 * @param left - Items that were under way before.
 */
function acceptSeen({ handle }: Running, done: number, left: number): (seen: SeenBatch) => Promise<boolean> {
  let accepted = false;
  return async ({ state }) => {
    if (accepted || state === null || state.hold === null || !SEEN_BEFORE.has(state.hold.code)) return false;
    if (state.counts.open > left || endedOf(state.counts) > done) return false;
    accepted = true;
    await handle.request('resume').catch((error: unknown) => {
      if (!(error instanceof UsageError)) throw error;
    });
    return true;
  };
}

/** Lets items that are held go on: none of them pays for another task by it. One whose submit has no answer needs a person. */
export async function releaseItems(place: Pick<Running, 'client' | 'taskQueue'>, batchId: string): Promise<void> {
  const { client } = place;
  const held = `RivyaStatus STARTS_WITH 'held:' AND RivyaStatus != 'held:${FAILURE.SubmitUnresolved}'`;
  const ids = await runningIds(client, batchId, held);
  // By which codes they are held is not known.
  if (ids.length > 0) await askWhetherOver(place, SHARED_CODES);
  for (const workflowId of ids) {
    // One that has ended meanwhile needs nothing.
    await client.workflow
      .getHandle(workflowId)
      .signal(RESUME, {})
      .catch((error: unknown) => {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      });
  }
}

export interface Work extends EndingWork {
  /** Those of the settings that the command was given: a batch that runs keeps its others. */
  readonly given: Partial<Pick<BatchSettings, 'maxCredits' | 'maxInFlight'>>;
  /** Items of the manifest that had ended when a person consented. */
  readonly done: number;
  /** The manifest that the batch had when the command read it; null where it had none. */
  readonly listed: string | null;
  readonly interrupted: AbortSignal;
  /** True where a pause ends too. A hold always does: a person has seen what it will cost. */
  readonly resume: boolean;
}

/** Runs the batch to its end and reports. Returns the exit status. */
export async function work(one: Work): Promise<number> {
  const { place, files, head, interrupted } = one;
  const running = await openPlace(files.batchId, place, () => foldersOf(one));
  let end: BatchEnd;
  let example = '';
  try {
    await checkAttributes(running);
    if (interrupted.aborted) {
      say(advice(`Interrupted before anything was started. Go on with: ${one.again}`));
      return STATUS.interrupted;
    }
    const { left = null } = (await files.head()) ?? {};
    const isNew = await startOrChange(running, one);
    await files.writeHead({ ...head, held: null, left });
    if (place.at.kind === 'named')
      for (const sentence of await unpolled(running.client, running.taskQueue)) say(sentence);
    const progress = new Progress();
    const advise = (text: string): string => batchAdvice(text, place, files.batchId);
    const broken = running.done?.then(
      () => new Error('the Worker has stopped'),
      (error: Error) => error,
    );
    const keep = keepLimits(files, head);
    const accept = acceptSeen(running, one.done, left?.items ?? 0);
    const onLook = async (seen: SeenBatch): Promise<boolean> => {
      await keep(seen);
      return isNew && (await accept(seen));
    };
    const follow = followBatch(running.handle, { progress, onLook, interrupted, hasEnded: hasEnded(place), advise });
    end = await Promise.race([follow, ...(broken === undefined ? [] : [broken.then(goneBy)])]);
    if (end.kind === 'held' && end.state.hold === null)
      example = await heldItem(running, files.batchId).catch(() => '');
  } finally {
    await running.stop();
  }
  return reportEnd(one, end, example);
}

/** The folders of the files that are references of the items. */
async function foldersOf({ files, manifest }: Work): Promise<string[]> {
  const folders = new Set<string>();
  for await (const { input } of files.items(manifest)) {
    for (const reference of input.references ?? []) {
      if (typeof reference.path === 'string') folders.add(path.dirname(reference.path));
    }
  }
  return [...folders];
}

function goneBy(problem: Error): BatchEnd {
  return { kind: 'gone', problem };
}

/** What one of the items says that are held. */
async function heldItem({ client }: Running, batchId: string): Promise<string> {
  const [workflowId] = await runningIds(client, batchId, "RivyaStatus STARTS_WITH 'held:'");
  const run = workflowId === undefined ? null : await describeRun(client, workflowId);
  const { message } = (run && memoOf(run)?.hold) ?? {};
  return message === undefined ? '' : ` ${workflowId}: ${message}`;
}

/** True once the process has ended that ran the Temporal of a batch for this command. */
export function hasEnded({ at }: BatchPlace): () => boolean {
  return () => at.kind === 'session' && !isAlive(at.session.pid);
}
