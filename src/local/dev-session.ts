import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';

const Session = z.object({
  pid: z.number().int().positive(),
  /** `host:port` of the embedded Temporal server. */
  address: z.string(),
  uiUrl: z.string().nullable(),
  /** The emulator, or null where the session uses the real API. */
  baseUrl: z.string().nullable(),
  taskQueue: z.string(),
  /** Address of its store, good in any directory; null where it has none. */
  store: z.string().nullable().default(null),
});

/** A `dev` that runs on this machine. */
export type DevSession = z.infer<typeof Session>;

// A server of this machine accepts at once; this is for one that is busy.
const ACCEPT_MS = 1_000;

/** Directory of the state that must survive a reboot: the usual place of the system, or below `XDG_DATA_HOME`. */
export function dataDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const base =
    env['XDG_DATA_HOME'] ||
    (process.platform === 'darwin'
      ? path.join(homedir(), 'Library', 'Application Support')
      : process.platform === 'win32'
        ? env['LOCALAPPDATA'] || path.join(homedir(), 'AppData', 'Local')
        : path.join(homedir(), '.local', 'share'));
  return path.join(base, 'rivya-temporal');
}

/** The `dev` that keeps its state in a directory, if it still runs. */
export async function findSession(directory = dataDirectory()): Promise<DevSession | null> {
  const session = readSession(directory);
  return session !== null && (await isAlive(session)) ? session : null;
}

/**
 * Tells other commands where this `dev` listens; false where another one that runs has done so before. Only the owner
 * can read the file.
 */
export async function publishSession(directory: string, session: DevSession): Promise<boolean> {
  const file = sessionFile(directory);
  const publish = (): void => writeFileSync(file, JSON.stringify(session), { mode: 0o600, flag: 'wx' });
  mkdirSync(directory, { recursive: true });
  try {
    publish();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if ((await findSession(directory)) !== null) return false;
    // Left behind by a process that was killed.
    rmSync(file, { force: true });
    publish();
  }
  return true;
}

/** Takes back what {@link publishSession} told, unless it is another session's by now. */
export function withdrawSession(directory: string, pid: number): void {
  if (readSession(directory)?.pid === pid) rmSync(sessionFile(directory), { force: true });
}

function sessionFile(directory: string): string {
  return path.join(directory, 'dev.json');
}

function readSession(directory: string): DevSession | null {
  try {
    return Session.parse(JSON.parse(readFileSync(sessionFile(directory), 'utf8')));
  } catch {
    // Missing, or left behind by another version: there is no session to use.
    return null;
  }
}

async function isAlive({ pid, address }: DevSession): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // After a reboot the number may belong to another process.
  return new Promise((resolve) => {
    const at = address.lastIndexOf(':');
    const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), timeout: ACCEPT_MS });
    const end = (alive: boolean): void => {
      socket.destroy();
      resolve(alive);
    };
    socket
      .once('connect', () => end(true))
      .once('error', () => end(false))
      .once('timeout', () => end(false));
  });
}
