/** The embedded server: the dev server of the Temporal CLI as a child of this process. */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { registerAttributes } from '../search-attributes.js';
import { databaseLock, launch, type LaunchOptions, type ServerChild } from './child.js';
import { findServerBinary } from './find.js';
import { accepts, freePort, until } from './ready.js';
import { elapsed, reason } from './run.js';

/** A Temporal server that this process started. It ends with this process, however that ends. */
export interface EmbeddedServer {
  /** `host:port` for gRPC. */
  readonly address: string;
  /** Base of the Temporal UI, or null without one. */
  readonly uiUrl: string | null;
  /** Process ID of the server. */
  readonly pid: number;
  /** Settles when the server is gone, with how it ended (`status 1`, `SIGKILL`). Never rejects. */
  readonly ended: Promise<string>;
  /** Ends the server and resolves when all its processes are gone (about 1 s, at most about 5 s). */
  stop(): Promise<void>;
}

export interface DevServerOptions {
  /** Receives progress for people; print it on stderr. */
  readonly log: (line: string) => void;
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Milliseconds until the process must answer. Default 30,000: 0.7 s are enough on an idle machine, 5 s not on a busy one. */
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

/** Makes a file nearly as fast as memory. A killed process loses nothing; a loss of power, perhaps the last transactions. */
const PRAGMAS = ['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=normal'];
/** Between our look at a port and the server's own bind another process may take it; three times is no accident. */
const PORT_ATTEMPTS = 3;
/** What Unix and Windows say then. */
const PORT_TAKEN = /address already in use|only one usage of each socket address/i;

/**
 * Starts the dev server of the Temporal CLI on 127.0.0.1, with fairness on, and waits until it answers.
 * @throws ServerNotFound, or ServerStartFailed if it ends or does not answer in time, or another one uses the database file
 */
export async function startDevServer(options: DevServerOptions): Promise<EmbeddedServer> {
  const { log, env = process.env, ui = true, dbFilename, readyTimeoutMs = 30_000 } = options;
  const binary = await findServerBinary({ log, env });
  const lock = dbFilename === undefined ? null : await databaseLock(dbFilename);
  for (let attempt = 1; ; attempt++) {
    const port = await choosePort('Temporal', options.port ?? 7233, attempt, log);
    const uiPort = ui ? await choosePort('the Temporal UI', options.uiPort ?? 8233, attempt, log) : null;
    const args = ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'error'];
    args.push(...(uiPort === null ? ['--headless'] : ['--ui-port', String(uiPort)]));
    // Without this flag fairness keys are ignored, and nobody says so.
    const dynamicConfig = { 'matching.enableFairness': 'true', ...options.dynamicConfig };
    for (const [name, value] of Object.entries(dynamicConfig)) args.push('--dynamic-config-value', `${name}=${value}`);
    if (dbFilename !== undefined) args.push('--db-filename', resolve(dbFilename), ...PRAGMAS);
    try {
      return await start({ ...options, env, readyTimeoutMs, binary, args, port, uiPort, lock });
    } catch (error) {
      if (attempt === PORT_ATTEMPTS || !PORT_TAKEN.test(reason(error))) throw error;
      log('Another process took a port of the server just now; trying other ports.');
    }
  }
}

interface StartOptions extends Pick<DevServerOptions, 'log' | 'retentionDays'>, Omit<LaunchOptions, 'address'> {
  readonly port: number;
  readonly uiPort: number | null;
  readonly readyTimeoutMs: number;
}

/** Launches a server, waits until it is ready, and stops it if any of this fails. */
async function start(options: StartOptions): Promise<EmbeddedServer> {
  const { log, binary, port, uiPort, readyTimeoutMs } = options;
  const address = `127.0.0.1:${port}`;
  const uiUrl = uiPort === null ? null : `http://127.0.0.1:${uiPort}`;
  const started = performance.now();
  const child = await launch({ ...options, address }).catch((error: unknown) => {
    const message = `The Temporal server did not start: ${reason(error)}. Nothing was paid.`;
    throw new ServerStartFailed(message, { cause: error });
  });
  const waiting = new AbortController();
  const { signal } = waiting;
  const late = sleep(readyTimeoutMs, `it did not answer within ${readyTimeoutMs / 1000} s`, { signal });
  const failure = Promise.race([child.ended.then((how) => `it ended with ${how}`), late]).then((why) => {
    throw new Error(why);
  });
  try {
    await Promise.race([whenReady(options, child, signal), failure]);
  } catch (error) {
    await child.stop();
    const printed = child.printed() || '(nothing)';
    throw new ServerStartFailed(
      `The Temporal server did not start: ${reason(error)}. Nothing was paid. ${binary} printed:\n${printed}`,
      { cause: error },
    );
  } finally {
    waiting.abort();
  }
  child.unref();
  log(`Temporal server at ${address}${uiUrl === null ? '' : `, UI at ${uiUrl}`} (${elapsed(started)})`);
  return { address, uiUrl, pid: child.pid, ended: child.ended, stop: () => child.stop() };
}

async function whenReady(options: StartOptions, child: ServerChild, signal: AbortSignal): Promise<void> {
  const { port, uiPort, retentionDays, readyTimeoutMs: connectTimeout } = options;
  const namespace = 'default';
  // A connection to a port that accepts already: gRPC's own back-off would cost a second otherwise.
  await until(() => accepts(port), signal);
  // gRPC would take `http_proxy` for loopback addresses too.
  const channelArgs = { 'grpc.enable_http_proxy': 0 };
  const connection = await Connection.connect({ address: `127.0.0.1:${port}`, connectTimeout, channelArgs });
  const { workflowService } = connection;
  try {
    // What answers may be somebody else's server, when two start at once and ours is about to fail. Ours prints its address
    // once it has the port; another version, which may not, must live for 10 s: one without its port ends within 1 s or so.
    const livedAt = performance.now() + 10_000;
    const banner = new RegExp(`:${port}\\s`);
    await until(() => Promise.resolve(child.hasPrinted(banner) || performance.now() > livedAt), signal);
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

async function choosePort(what: string, preferred: number, attempt: number, log: (line: string) => void) {
  const free = preferred !== 0 && attempt === 1 ? await freePort(preferred).catch(() => null) : null;
  if (free !== null) return free;
  const port = await freePort();
  if (preferred !== 0) log(`Port ${preferred} is taken; ${what} uses ${port}.`);
  return port;
}
