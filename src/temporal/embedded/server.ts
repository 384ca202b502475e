import { resolve } from 'node:path';
import { msToTs } from '@temporalio/common/lib/time.js';
import { registerAttributes } from '../search-attributes.js';
import { DatabaseInUse, databaseLock, launch, type ServerChild } from './child.js';
import { findServerBinary } from './find.js';
import { accepts, connectTo, freePort, until } from './ready.js';
import { elapsed, reason } from './run.js';

/** A Temporal server that this process started. It ends with this process, however that ends. */
export interface EmbeddedServer {
  /** `host:port` for gRPC. */
  readonly address: string;
  /** Base of the Temporal UI, or null without one. */
  readonly uiUrl: string | null;
  /** Process ID of the server. */
  readonly pid: number;
  /** Ends the server and resolves when all its processes are gone (about 1 s, at most about 5 s). */
  stop(): Promise<void>;
}

export interface DevServerOptions {
  /** Receives progress for people; print it on stderr. */
  readonly log: (line: string) => void;
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** See `FindOptions`. */
  readonly cacheDir?: string | undefined;
  /**
   * Milliseconds from the start of the process until it answers. Default 30,000: it takes 0.7 s when the machine is
   * idle, and the SDK's own launcher, which gives up after 5 s, fails on busy ones.
   */
  readonly readyTimeoutMs?: number | undefined;
  /** Serve the Temporal UI. Default true. */
  readonly ui?: boolean | undefined;
  /** File that keeps the state; its directory must exist. Default: in memory, and gone with the server. */
  readonly dbFilename?: string | undefined;
  /** Port for gRPC if it is free, otherwise another one; 0 for any. Default 7233. */
  readonly port?: number | undefined;
  /** Port for the UI if it is free, otherwise another one; 0 for any. Default 8233. */
  readonly uiPort?: number | undefined;
  /** Dynamic configuration of the server, each value as JSON. Fairness is always on. */
  readonly dynamicConfig?: Readonly<Record<string, string>> | undefined;
  /** Days for which the namespace `default` keeps closed Workflows, 1 or more. Default: the server's own (1 day). */
  readonly retentionDays?: number | undefined;
}

/** The server was found but did not come up; the message holds what it printed last. */
export class ServerStartFailed extends Error {
  override readonly name = 'ServerStartFailed';
}

/** Between our look at a port and the server's own bind another process may take it; three times is no accident. */
const PORT_ATTEMPTS = 3;
/** What Unix and Windows say then. */
const PORT_TAKEN = /address already in use|only one usage of each socket address/i;

/**
 * Starts the dev server of the Temporal CLI on 127.0.0.1, with fairness on, and waits until it answers.
 * @throws ServerNotFound, or ServerStartFailed if it ends or does not answer in time, or another one uses the database file
 */
export async function startDevServer(options: DevServerOptions): Promise<EmbeddedServer> {
  const { log, env = process.env, ui = true, dbFilename } = options;
  const binary = await findServerBinary({ kind: 'dev', log, env, cacheDir: options.cacheDir });
  const lock = dbFilename === undefined ? null : await databaseLock(dbFilename);
  for (let attempt = 1; ; attempt++) {
    const port = await choosePort('Temporal', options.port ?? 7233, attempt, log);
    const uiPort = ui ? await choosePort('the Temporal UI', options.uiPort ?? 8233, attempt, log) : null;
    const args = ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'error'];
    args.push(...(uiPort === null ? ['--headless'] : ['--ui-port', String(uiPort)]));
    // Without this flag fairness keys are ignored, and nobody says so.
    const dynamicConfig = { 'matching.enableFairness': 'true', ...options.dynamicConfig };
    args.push(
      ...Object.entries(dynamicConfig).flatMap(([name, value]) => ['--dynamic-config-value', `${name}=${value}`]),
    );
    // Nearly as fast as memory. A killed process loses nothing; a loss of power, perhaps the last transactions.
    const pragmas = ['journal_mode=wal', 'synchronous=normal'].flatMap((pragma) => ['--sqlite-pragma', pragma]);
    if (dbFilename !== undefined) args.push('--db-filename', resolve(dbFilename), ...pragmas);
    try {
      return await start({ ...options, env, binary, args, port, uiPort, lock });
    } catch (error) {
      if (attempt === PORT_ATTEMPTS || !PORT_TAKEN.test(reason(error))) throw error;
      log('Another process took a port of the server just now; trying other ports.');
    }
  }
}

interface StartOptions extends Omit<DevServerOptions, 'uiPort'> {
  readonly env: NodeJS.ProcessEnv;
  readonly binary: string;
  readonly args: readonly string[];
  readonly port: number;
  readonly uiPort: number | null;
  readonly lock: string | null;
}

/** Launches a server, waits until it is ready, and stops it if any of this fails. */
async function start(options: StartOptions): Promise<EmbeddedServer> {
  const { log, binary, port, uiPort, readyTimeoutMs = 30_000 } = options;
  const address = `127.0.0.1:${port}`;
  const uiUrl = uiPort === null ? null : `http://127.0.0.1:${uiPort}`;
  const started = performance.now();
  const child = await launch({ ...options, address }).catch((error: unknown) => {
    throw new ServerStartFailed(launchFailure(error), { cause: error });
  });
  const stopWaiting = new AbortController();
  const timer = setTimeout(
    () => stopWaiting.abort(`it did not answer within ${readyTimeoutMs / 1000} s`),
    readyTimeoutMs,
  );
  void child.ended.then((how) => stopWaiting.abort(`it ended with ${how}`));
  const { signal } = stopWaiting;
  const aborted = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(new Error(String(signal.reason)))),
  );
  try {
    await Promise.race([whenReady(options, child, readyTimeoutMs, signal), aborted]);
  } catch (error) {
    await child.stop();
    const why = signal.aborted ? String(signal.reason) : reason(error);
    throw new ServerStartFailed(
      `The Temporal server did not start: ${why}. Nothing was paid. ${binary} printed:\n${child.printed() || '(nothing)'}`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
  child.unref();
  log(`Temporal server at ${address}${uiUrl === null ? '' : `, UI at ${uiUrl}`} (${elapsed(started)})`);
  return { address, uiUrl, pid: child.pid, stop: () => child.stop() };
}

async function whenReady(
  { port, uiPort, retentionDays }: StartOptions,
  child: ServerChild,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const namespace = 'default';
  await until(() => accepts(port), signal);
  const connection = await connectTo(`127.0.0.1:${port}`, timeoutMs);
  const { workflowService } = connection;
  try {
    await untilOurs(child, port, signal);
    await until(() => workflowService.describeNamespace({ namespace }).then(() => true), signal);
    if (uiPort !== null) await until(() => accepts(uiPort), signal);
    // Not by the server's flag, which does nothing for a database file that exists.
    await registerAttributes(connection, namespace);
    if (retentionDays === undefined) return;
    const config = { workflowExecutionRetentionTtl: msToTs(retentionDays * 24 * 3_600_000) };
    await workflowService.updateNamespace({ namespace, config });
  } finally {
    await connection.close();
  }
}

function launchFailure(error: unknown): string {
  if (!(error instanceof DatabaseInUse))
    return `The Temporal server did not start: ${reason(error)}. Nothing was paid.`;
  const address = error.message;
  return (
    'The Temporal server did not start: another one uses the same database file, and two would spoil it. Nothing was paid. ' +
    (address.includes(':') ? `Set TEMPORAL_ADDRESS=${address} to use that one, or stop it.` : 'Stop that one first.')
  );
}

async function choosePort(what: string, preferred: number, attempt: number, log: (line: string) => void) {
  if (preferred !== 0 && attempt === 1) {
    const free = await freePort(preferred).catch(() => null);
    if (free !== null) return free;
  }
  const port = await freePort();
  if (preferred !== 0) log(`Port ${preferred} is taken; ${what} uses ${port}.`);
  return port;
}

/**
 * What answers on the port may be somebody else's server, when two start at once and ours is about to fail. Ours
 * prints its address once it has the port; should another version not do so, it must at least live on.
 */
async function untilOurs(child: ServerChild, port: number, signal: AbortSignal): Promise<void> {
  const lived = performance.now() + 10_000; // one that finds its port taken ends within 1 s, later on a busy machine
  await until(async () => child.hasPrinted(new RegExp(`:${port}\\s`)) || performance.now() > lived, signal);
}
