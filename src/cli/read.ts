/**
 * Reads of the API by the commands. They go through the API task queue where Workers poll it, so that they count within the
 * rate of all; elsewhere the command asks by itself, within the part of the limit that the rate leaves free.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { CreditsAnswer, ModelsAnswer, RivyaClient } from '../api/index.js';
import { readSettings, type Settings } from '../config.js';
import { READ_WORKFLOW_TYPE, type ReadInput, type ReadResult } from '../contract/index.js';
import { configuredAddress, targetOf } from '../temporal/connect.js';
import { accepts } from '../temporal/embedded/ready.js';
import { servedQueues } from '../temporal/pollers.js';
import { localSession, openApi, openTemporal } from './context.js';
import { WorkerRefused } from './errors.js';
import { say } from './output.js';

// A person waits no longer than this for a turn on a busy queue.
const ANSWER_MS = 15_000;

/** The reads of one command. */
export interface Reads {
  readonly listModels: () => Promise<Omit<ModelsAnswer, 'serverTime'>>;
  readonly getCredits: () => Promise<Omit<CreditsAnswer, 'serverTime'>>;
  /** Address of the API that this process asks where no Worker does. */
  readonly baseUrl: string;
  /** True where that is the emulator of `dev`, because neither key nor address is set. */
  readonly ofDev: boolean;
  /** The API client of this process, which asks directly. */
  readonly api: RivyaClient;
}

/** Workers that may be asked. */
interface Queue {
  readonly client: Client;
  readonly taskQueue: string;
  /** Digest of the key of this process: another key is another account. Null where it has none. */
  readonly fingerprint: string | null;
}

/**
 * @param note - Told why the Workers were not asked, where they should have been.
 * @throws SettingsError
 */
export async function openReads(env: NodeJS.ProcessEnv = process.env, note = say): Promise<Reads> {
  const settings = readSettings(env);
  const { api, baseUrl, ofDev } = await openApi(env);
  let queue = await queueOf(settings, env, note);
  const read = async <Answer>(what: ReadInput['what'], directly: () => Promise<Answer>): Promise<Answer> => {
    const result = queue === null ? null : await onQueue(queue, { what }, note);
    // What did not answer once is not waited for again.
    if (result === null) queue = null;
    return result === null ? directly() : { ...(result.body as Answer), simulated: result.simulated };
  };
  return {
    api,
    baseUrl,
    ofDev,
    listModels: () => read('models', (): ReturnType<Reads['listModels']> => api.listModels()),
    getCredits: () => read('credits', (): ReturnType<Reads['getCredits']> => api.getCredits()),
  };
}

/** The queue of Workers that call the API, or null where this process asks by itself. */
async function queueOf(settings: Settings, env: NodeJS.ProcessEnv, note: typeof say): Promise<Queue | null> {
  // An address without a key is asked for by name: an emulator, or the public list.
  if (settings.keys === null && env['RIVYA_BASE_URL']) return null;
  try {
    if (configuredAddress() === null && (await localSession()) === null) {
      const [, port = ''] = targetOf().address.split(':');
      // Most machines without a setting have no Temporal, and a connection would be tried for 5 s.
      if (!(await accepts(Number(port)))) return null;
    }
    const { client, taskQueue } = await openTemporal(settings);
    const queues = await servedQueues(client, taskQueue);
    const served = queues.filter(({ pollers }) => pollers.length > 0).map(({ role }) => role);
    if (!served.includes('workflows') || !served.includes('api')) return null;
    const key = (await settings.keys?.current()) ?? null;
    return { client, taskQueue, fingerprint: key?.fingerprint() ?? null };
  } catch (error) {
    note(`The Workers cannot be asked, so the API is asked directly. ${(error as Error).message}`);
    return null;
  }
}

/** Null where no answer came in time, or Workers with another key gave it. @throws WorkerRefused */
async function onQueue(
  { client, taskQueue, fingerprint }: Queue,
  input: ReadInput,
  note: typeof say,
): Promise<ReadResult | null> {
  try {
    // A moment longer than the Workflow runs, for its end to arrive.
    const result = await client.withDeadline(Date.now() + ANSWER_MS + 1_000, () =>
      client.workflow.execute<(read: ReadInput) => Promise<ReadResult>>(READ_WORKFLOW_TYPE, {
        workflowId: `rivya-read/${randomUUID()}`,
        taskQueue,
        args: [input],
        workflowRunTimeout: ANSWER_MS,
        staticSummary: `${input.what}, for a command`,
      }),
    );
    if (fingerprint !== null && fingerprint !== result.fingerprint) return null;
    if (result.refused !== null) throw new WorkerRefused(result.refused, result.fingerprint);
    return result;
  } catch (error) {
    if (error instanceof WorkerRefused) throw error;
    const { message, cause } = error as Error;
    const why = cause instanceof Error && cause.message !== '' ? cause.message : message;
    note(`The Workers gave no answer within ${ANSWER_MS / 1_000} s, so the API is asked directly. ${why}`);
    return null;
  }
}
