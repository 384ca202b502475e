/** The file by which commands find a Temporal server that another one runs: the `dev` of this machine, or a `batch run`. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { accepts } from '../temporal/embedded/ready.js';
import { userDirectory } from './directories.js';

const Session = z.object({
  pid: z.number().int().positive(),
  /** `127.0.0.1:port` of the embedded Temporal server. */
  address: z.string(),
  uiUrl: z.string().nullable(),
  /** The emulator, or null where the session uses the real API. */
  baseUrl: z.string().nullable(),
  taskQueue: z.string(),
  /** Address of its store, good in any directory; null where it has none. */
  store: z.string().nullable(),
  /** Where it keeps its state, or null where it keeps none. */
  directory: z.string().nullable(),
});

/** A `dev` that runs on this machine. */
export type DevSession = z.infer<typeof Session>;

/** The `dev` of this machine, if one runs; or the `batch run` of a directory. */
export async function findSession(directory = userDirectory('data')): Promise<DevSession | null> {
  const session = readSession(directory);
  if (session === null) return null;
  if (!isAlive(session.pid)) return null;
  // After a reboot the number may belong to another process.
  return (await accepts(Number(session.address.split(':').at(-1)))) ? session : null;
}

/** True while a process of this number runs. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Writes the file. Returns the `dev` that commands find: this one, an earlier one, or null without a file. */
export async function publishSession(
  session: DevSession,
  directory = userDirectory('data'),
): Promise<DevSession | null> {
  const file = sessionFile(directory);
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    // Left behind by a process that was killed.
    if ((await findSession(directory)) === null) rmSync(file, { force: true });
    writeFileSync(file, JSON.stringify(session), { mode: 0o600, flag: 'wx' });
    return session;
  } catch {
    return findSession(directory);
  }
}

/** Removes the file, unless it is another session's. */
export function withdrawSession(pid: number, directory = userDirectory('data')): void {
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
