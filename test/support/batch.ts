/** Batches for tests: manifests in a store, and the Workflow `rivyaBatch`. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { BatchFiles } from '../../src/batch/files.js';
import { runningQuery } from '../../src/batch/running.js';
import { BATCH_QUERY, BATCH_WORKFLOW_TYPE } from '../../src/contract/index.js';
import type { BatchItem, BatchManifest, BatchOutcome, BatchRequests, BatchSettings } from '../../src/contract/index.js';
import type { BatchState, GenerateMediaInput } from '../../src/contract/index.js';
import type { Emulator } from '../../src/emulator/index.js';
import { identityOf, readInput } from '../../src/policy/index.js';
import { FileStore } from '../../src/storage/file-store.js';
import type { Harness } from './harness.js';
import { until } from './until.js';

export type TestBatch = Awaited<ReturnType<typeof newBatch>>;

interface BatchOptions {
  readonly batchId: string;
  /** In order; the items are `i0001`, `i0002` and so on. */
  readonly inputs: readonly GenerateMediaInput[];
  readonly api?: string;
  /** By model. Default: 1 credit. */
  readonly estimates?: Readonly<Record<string, number | null>>;
  /** Changes an item. */
  readonly rename?: (item: BatchItem, n: number) => BatchItem;
}

/** The items `i0001`, `i0002` … of these inputs. */
export function itemsFor(batchId: string, inputs: readonly GenerateMediaInput[]): BatchItem[] {
  const models = [...new Set(inputs.map(({ model }) => model))];
  return inputs.map((input, n) => {
    const id = `i${String(n + 1).padStart(4, '0')}`;
    const { digest } = identityOf(readInput(input));
    const priceClass = models.indexOf(input.model);
    return { id, variant: 1, workflowId: `${batchId}/${id}`, input, digest, priceClass, carried: {} };
  });
}

/** `count` images, each with a prompt of its own. */
export function images(count: number, prompt = 'heron', more: Partial<GenerateMediaInput> = {}): GenerateMediaInput[] {
  return Array.from({ length: count }, (_, n) => ({ model: 'z-image', prompt: `${prompt} ${n + 1}.`, ...more }));
}

/** Writes a manifest into the store of a harness. */
export async function writeManifest(output: string, options: BatchOptions): Promise<BatchManifest> {
  const { batchId, inputs, api = 'emulator', estimates = {}, rename = (item) => item } = options;
  const items = itemsFor(batchId, inputs).map(rename);
  const models = [...new Set(inputs.map(({ model }) => model))];
  const classes = models.map((model) => {
    const estimate = Object.hasOwn(estimates, model) ? (estimates[model] ?? null) : 1;
    return { model, items: inputs.filter((input) => input.model === model).length, estimate };
  });
  async function* source(): AsyncGenerator<BatchItem> {
    yield* items;
  }
  const files = new BatchFiles(new FileStore(`file:${output}`), batchId);
  return files.writeManifest(source, { classes, columns: [], source: null, api });
}

/** A batch whose manifest is in the store of a harness; nothing runs yet. */
export async function newBatch(
  { output, temporal, taskQueue }: Pick<Harness, 'output' | 'temporal' | 'taskQueue'>,
  options: BatchOptions,
) {
  const { batchId } = options;
  const manifest = await writeManifest(output, options);
  const files = new BatchFiles(new FileStore(`file:${output}`), batchId);
  const handle: WorkflowHandle = temporal.workflow.getHandle(batchId);
  const start = async (settings: Partial<BatchSettings> = {}, client: Client = temporal): Promise<WorkflowHandle> => {
    await client.workflow.start(BATCH_WORKFLOW_TYPE, {
      workflowId: batchId,
      taskQueue,
      args: [{ manifest: manifest.sha256, settings }],
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    });
    return client.workflow.getHandle(batchId);
  };
  const state = (): Promise<BatchState> => handle.query<BatchState>(BATCH_QUERY);
  return {
    batchId,
    manifest,
    files,
    handle,
    start,
    state,
    /** Waits until the state is so. */
    until: (condition: (state: BatchState) => boolean, limitMs?: number) =>
      until(async () => condition(await state()), limitMs),
    request: <Name extends keyof BatchRequests>(name: Name, argument: BatchRequests[Name]): Promise<string> =>
      handle.executeUpdate<string, [BatchRequests[Name]]>(name, { args: [argument] }),
    /** Waits until so many of its items run, as the list says. */
    untilRunning: (count: number) =>
      until(async () => (await temporal.workflow.count(runningQuery(batchId))).count === count),
    outcomes: async (): Promise<BatchOutcome[]> => {
      const all: BatchOutcome[] = [];
      for await (const { workflowId } of files.items(manifest)) {
        const outcome = await files.outcome(workflowId);
        if (outcome !== null) all.push(outcome);
      }
      return all;
    },
  };
}

/** Number of paid tasks for each prompt of a ledger that begins with this word. */
export async function tasksOfPrompts(
  harness: Pick<Harness, 'emulator'>,
  word: string,
): Promise<Record<string, number>> {
  const all = Object.entries(await tasksByPrompt(harness));
  return Object.fromEntries(all.filter(([name]) => name.startsWith(`${word} `)));
}

/** An empty folder with the input `in.csv` of these prompts, and the settings of commands that run it on a stack of their own. */
export function ownFolder(emulator: Pick<Emulator, 'url' | 'apiKey'>, prompts: readonly string[]) {
  const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-batch-own-'));
  writeFileSync(path.join(cwd, 'in.csv'), `model,prompt\n${prompts.map((prompt) => `z-image,${prompt}\n`).join('')}`);
  const env = {
    XDG_DATA_HOME: cwd,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
    RIVYA_RATE_LIMIT_PER_MINUTE: '60000',
  };
  return { cwd, env };
}

/** Number of paid tasks for each prompt of a ledger. */
export async function tasksByPrompt({ emulator }: Pick<Harness, 'emulator'>): Promise<Record<string, number>> {
  const { keys } = await emulator.ledger();
  const paid: Record<string, number> = {};
  for (const { bodies, tasks } of Object.values(keys)) {
    const { prompt = '' } = JSON.parse(bodies[0] ?? '{}') as { prompt?: string };
    paid[prompt] = (paid[prompt] ?? 0) + tasks.length;
  }
  return paid;
}

/** What a ledger says where each of these was paid once. */
export function onceEach(inputs: readonly GenerateMediaInput[]): Record<string, number> {
  return Object.fromEntries(inputs.map(({ prompt = '' }) => [prompt, 1]));
}
