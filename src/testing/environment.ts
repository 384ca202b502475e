import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { Client, isGrpcServiceError, type Connection } from '@temporalio/client';
import { Worker, type NativeConnection, type WorkerOptions } from '@temporalio/worker';
import { GenerationClient } from '../client.js';
import { readSettings, SettingsError } from '../config.js';
import { apiTaskQueue, DEFAULT_TASK_QUEUE } from '../contract/index.js';
import { startEmulator, type Emulator, type EmulatorOptions } from '../emulator/index.js';
import { TIMEOUTS } from '../policy/index.js';
import { configuredAddress, connectClient, connectWorker } from '../temporal/connect.js';
import { until } from '../temporal/embedded/ready.js';
import { startDevServer } from '../temporal/embedded/server.js';
import { registerAttributes } from '../temporal/search-attributes.js';
import { servedQueues } from '../temporal/pollers.js';
import { workflowCode } from '../worker/bundle.js';
import { startWorkers, stopPolling, type RunningWorkers } from '../worker/workers.js';
import type { FakeActivities } from './fake-activities.js';

// Jobs end within a second, so a generation is done at its first check.
const DURATIONS = { image: 800, audio: 800, video: 800 };
// Out of the way: a test that waits for the limit of an account waits for nothing it wants to know.
const RATE_LIMIT_PER_MINUTE = 60_000;
// The shortest that the Service takes. The wire type is a Long.
const RETENTION = { seconds: 86_400 as never };
// The hosts of a Service look for new namespaces every 10 s or so.
const NAMESPACE_READY_MS = 60_000;
// How the Workers of test environments are called: a Worker is listed for a while after it has stopped.
const WORKER_IDENTITY = 'rivya-temporal test';
// Of the user's Workflows. No name of ours: the Workers of this package poll other queues.
const PIPELINES = 'pipelines';
// The Workflows of a Worker that was stopped go to another one soon.
const STICKY = { stickyQueueScheduleToStartTimeout: TIMEOUTS.stickyQueue };
// gRPC statuses.
const NOT_FOUND = 5;
const UNIMPLEMENTED = 12;

/** What is used of a `TestWorkflowEnvironment` of `@temporalio/testing`; any client with a connection will do. */
export interface ExistingEnvironment {
  readonly client: Client;
  readonly nativeConnection: NativeConnection;
  /** Default: that of the client. */
  readonly namespace?: string | undefined;
  /** `host:port` of its server, for `env`. Default: that of the connection of the client, where it tells. */
  readonly address?: string | undefined;
  /** The emulator goes by this clock, so that its tasks age while a server skips time. */
  currentTimeMs?(): Promise<number>;
}

/** Your own Workflows and Activities, which run on a Worker of their own as long as the environment is there. */
interface CommonOptions extends Pick<WorkerOptions, 'workflowsPath' | 'workflowBundle' | 'activities'> {
  /**
   * A Temporal server that runs, and a namespace of it that no other Worker uses, for example a `TestWorkflowEnvironment`;
   * it stays yours to end. Default: a namespace of its own (`rivya-test-…`) on the server that `TEMPORAL_ADDRESS` names, or
   * else on a dev server of its own, found as `rivya-temporal dev` finds it.
   */
  readonly environment?: ExistingEnvironment;
  /** Task queue of your own Workflows and Activities. Default `pipelines`. */
  readonly taskQueue?: string;
  /**
   * Task queue of the Workers of this package. Default `rivya`, as in production, so that your Workflows run unchanged. Two
   * environments at a time in one namespace need different ones.
   */
  readonly rivyaTaskQueue?: string;
  /** Receives what the search for a Temporal server says. Default: nobody. */
  readonly log?: (line: string) => void;
}

/** A test environment with the emulator. */
export interface TestEnvironmentOptions extends CommonOptions {
  /** Models, prices, switches, faults. Here jobs take 800 ms unless `durations` says otherwise. */
  readonly emulator?: EmulatorOptions;
  /** Settings of the Worker, by their `RIVYA_*` names, over those that lead to Temporal, the emulator and a temporary store. */
  readonly env?: NodeJS.ProcessEnv;
  /** Whether Workers run from the start. Default true. */
  readonly workers?: boolean;
  readonly fake?: undefined;
}

/** A test environment without the API. */
export interface FakeEnvironmentOptions extends CommonOptions {
  /** What each step comes to; the Workers have these Activities and call no API. */
  readonly fake: FakeActivities;
}

export interface TestEnvironment extends AsyncDisposable {
  readonly client: Client;
  /** For Workers of your own. */
  readonly connection: NativeConnection;
  readonly generations: GenerationClient;
  /** Of your own Workflows and Activities. */
  readonly taskQueue: string;
  /** Ends what this environment started; also the Workflows are gone with a server of its own. */
  dispose(): Promise<void>;
}

export interface EmulatorEnvironment extends TestEnvironment {
  /** Sets faults, switches, credits and keys while it runs; its `ledger()` tells what was paid. */
  readonly emulator: Emulator;
  /** Directory of the store: results, and receipts below `.rivya`. It is removed at the end. */
  readonly output: string;
  /**
   * The settings of the Workers, for a Worker process of your own. `TEMPORAL_ADDRESS` and `TEMPORAL_NAMESPACE` lead to this
   * server; the address is missing where neither `environment` nor the connection of its client tells it.
   */
  readonly env: NodeJS.ProcessEnv;
  /** Starts Workers of this package, by default as at the start. `env`: settings that differ, such as `RIVYA_WORKER_ROLES`. */
  startWorkers(change?: { readonly env?: NodeJS.ProcessEnv }): Promise<RunningWorkers>;
  /** Stops all of them; generations wait. */
  stopWorkers(): Promise<void>;
}

/**
 * A Temporal server, Workers and the emulator of the Rivya API in one call, for tests of your own Workflows. With `fake`
 * the Workers take the outcome of each step from you, and there is no API. Nothing is paid either way: no Worker of anybody
 * else sees what a test starts.
 * @throws ServerNotFound naming what to install, when there is no Temporal server and none can be found or fetched.
 * @throws SettingsError for a wrong `env`, where the server lets nobody register a namespace, and where somebody else polls
 * the task queues in the namespace of `environment`.
 */
export async function createTestEnvironment(options: FakeEnvironmentOptions): Promise<TestEnvironment>;
export async function createTestEnvironment(options?: TestEnvironmentOptions): Promise<EmulatorEnvironment>;
export async function createTestEnvironment(
  options: TestEnvironmentOptions | FakeEnvironmentOptions = {},
): Promise<TestEnvironment> {
  // What was started is ended in the reverse order, also when a later step fails.
  const ends: (() => Promise<unknown>)[] = [];
  const dispose = async (): Promise<void> => {
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
  };
  try {
    const { environment: given, taskQueue = PIPELINES, rivyaTaskQueue = DEFAULT_TASK_QUEUE } = options;
    const server: ExistingEnvironment = given ?? (await connect(ends, options.log));
    const { client, nativeConnection, namespace = client.options.namespace } = server;
    if (given !== undefined) await refuseShared(client, namespace, [taskQueue, rivyaTaskQueue, DEFAULT_TASK_QUEUE]);
    const base = {
      client,
      connection: nativeConnection,
      generations: new GenerationClient(client, { taskQueue: rivyaTaskQueue }),
      taskQueue,
      dispose,
      [Symbol.asyncDispose]: dispose,
    };
    const identity = `${WORKER_IDENTITY} ${process.pid}@${hostname()}`;
    const target = { connection: nativeConnection, namespace, identity };
    if (options.fake !== undefined) {
      ends.push(await startFakeWorkers(options.fake, { ...target, taskQueue: rivyaTaskQueue }));
      ends.push(await startOwnWorker(options, { ...target, taskQueue }));
      return base;
    }

    const output = await mkdtemp(path.join(tmpdir(), 'rivya-output-'));
    ends.push(() => rm(output, { recursive: true, maxRetries: 3 }));
    const clock = (): number | Promise<number> => server.currentTimeMs?.() ?? Date.now();
    const emulator = await startEmulator({ durations: DURATIONS, clock, ...options.emulator });
    // Not every kind of connection tells: a NativeConnection, which a client takes too, does not.
    const address = server.address ?? (client.connection as Partial<Connection>).options?.address;
    const env = {
      // A process without an address takes whatever is at the default one, which may be real.
      ...(address !== undefined && { TEMPORAL_ADDRESS: address }),
      TEMPORAL_NAMESPACE: namespace,
      RIVYA_API_KEY: emulator.apiKey,
      RIVYA_BASE_URL: emulator.url,
      RIVYA_TASK_QUEUE: rivyaTaskQueue,
      RIVYA_RATE_LIMIT_PER_MINUTE: String(RATE_LIMIT_PER_MINUTE),
      // What one test teaches would change the checks of the next.
      RIVYA_PATIENCE: '0',
      RIVYA_STORE: `file:${output}`,
      RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
      ...options.env,
    };
    const running: RunningWorkers[] = [];
    const start: EmulatorEnvironment['startWorkers'] = async (change = {}) => {
      const settings = readSettings({ ...env, ...change.env });
      // Without the account: a refusal that a test plants for one generation would hold all others.
      const started = await startWorkers(settings, { ...target, account: false });
      running.push(started);
      return started;
    };
    const stop = async (): Promise<void> => void (await Promise.all(running.map((workers) => workers.stop())));
    ends.push(stop);
    ends.push(await startOwnWorker(options, { ...target, taskQueue }));
    // First of all, so that no Worker waits for an answer that hangs.
    ends.push(() => emulator.close());
    const environment: EmulatorEnvironment = { ...base, emulator, output, env, startWorkers: start, stopWorkers: stop };
    if (options.workers !== false) await start();
    return environment;
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** A namespace that nobody else knows, on the server of Temporal's own settings or on one of our own. */
async function connect(ends: (() => Promise<unknown>)[], log = (_line: string): void => undefined) {
  const server = configuredAddress() === null ? await startDevServer({ log, ui: false, port: 0 }) : null;
  if (server !== null) ends.push(() => server.stop());
  // In the clear, whatever the settings of this machine say: a test may want to read what is kept.
  const { client: first, address } = await connectClient(server?.address, null);
  const { connection } = first;
  ends.push(() => connection.close());
  const { connection: nativeConnection } = await connectWorker(server?.address);
  ends.push(() => nativeConnection.close());
  const namespace = `rivya-test-${randomUUID()}`;
  const client = new Client({ connection, namespace });
  await register(client, address);
  return { client, nativeConnection, namespace, address };
}

/** Registers the namespace of a client, and waits until Workers can poll it. */
async function register(client: Client, address: string): Promise<void> {
  const { workflowService } = client;
  const { namespace } = client.options;
  const description = 'A test of rivya-temporal. It can be deleted when the test has ended.';
  const known = async (): Promise<boolean> => {
    await workflowService.listWorkflowExecutions({ namespace });
    await servedQueues(client, DEFAULT_TASK_QUEUE);
    return true;
  };
  try {
    const workflowExecutionRetentionPeriod = RETENTION;
    await workflowService.registerNamespace({ namespace, description, workflowExecutionRetentionPeriod });
    await until(known, AbortSignal.timeout(NAMESPACE_READY_MS));
    // Without the right to register them, only lists lose something.
    await registerAttributes(client.connection as Connection, namespace).catch(() => undefined);
  } catch (error) {
    const why = isGrpcServiceError(error) ? error.details : String(error);
    throw new SettingsError(
      `A test keeps to a namespace of its own, but ${address} does not give it one (${why}). Pass \`environment\` with a client of a namespace that no other Worker uses, or unset TEMPORAL_ADDRESS for a dev server of its own. Nothing was started.`,
      { cause: error },
    );
  }
}

/** Refuses a namespace in which somebody else polls one of these task queues, and so does the work of a test. */
async function refuseShared(client: Client, namespace: string, taskQueues: readonly string[]): Promise<void> {
  for (const served of new Set(taskQueues)) {
    const queues = await servedQueues(client, served, namespace).catch((error: unknown) => {
      // A test server that skips time cannot tell, and in a namespace that is not there nobody polls.
      if (isGrpcServiceError(error) && [NOT_FOUND, UNIMPLEMENTED].includes(error.code)) return [];
      throw error;
    });
    for (const { queue, pollers } of queues) {
      const other = pollers.find((identity) => !identity.startsWith(WORKER_IDENTITY));
      if (other === undefined) continue;
      throw new SettingsError(
        `Worker ${other} polls the task queue ${queue} in the namespace ${namespace}, or did so in the last 90 s: it could pay for what is meant for a test. Leave \`environment\` out, or give one with a namespace that no other Worker uses. Nothing was started.`,
      );
    }
  }
}

type Target = Pick<WorkerOptions, 'connection' | 'namespace' | 'identity' | 'taskQueue'>;

/** Workers of this package on both task queues whose Activities are fakes. */
async function startFakeWorkers({ activities: fakes }: FakeActivities, target: Target): Promise<() => Promise<void>> {
  const activities = { ...fakes };
  return runAll([
    await Worker.create({ ...target, ...workflowCode(), ...STICKY, activities }),
    await Worker.create({ ...target, taskQueue: apiTaskQueue(target.taskQueue), activities }),
  ]);
}

/** The Worker of the user's Workflows and Activities, where there are any. */
async function startOwnWorker(options: CommonOptions, target: Target): Promise<() => Promise<void>> {
  const { workflowsPath, workflowBundle, activities } = options;
  const own = Object.entries({ workflowsPath, workflowBundle, activities }).filter(([, value]) => value !== undefined);
  return runAll(own.length === 0 ? [] : [await Worker.create({ ...target, ...STICKY, ...Object.fromEntries(own) })]);
}

/** Runs Workers until the function is called that it returns. */
function runAll(workers: readonly Worker[]): () => Promise<void> {
  const runs = workers.map((worker) => worker.run());
  return async () => {
    for (const worker of workers) stopPolling(worker);
    await Promise.all(runs);
  };
}
