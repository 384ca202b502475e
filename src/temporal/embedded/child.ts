/** The process of an embedded server, below its lifeline (`lifeline.mjs`), which ends with this process. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve as absolute } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A server that runs. */
export type ServerChild = Awaited<ReturnType<typeof launch>>;

/** A server to start, and the lock that it needs. */
export interface LaunchOptions {
  readonly binary: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** `host:port` of the server: the answer to another process that finds the lock taken. */
  readonly address: string;
  /** Path of a socket that serves as lock, or null for none. */
  readonly lock: string | null;
}

/** Another embedded server uses the same database file. */
export class DatabaseInUse extends Error {
  override readonly name = 'DatabaseInUse';

  /** @param address - Of the other server, or an empty text where it is not known. */
  constructor(address: string) {
    const advice = address === '' ? 'Stop that one' : `Set TEMPORAL_ADDRESS=${address} to use that one, or stop it`;
    super(`another one uses the same database file, and two would spoil it. ${advice}`);
  }
}

type LifelineMessage = { pid: number } | { failed: string } | { ended: string } | { lockedBy: string };
/** Kept of the beginning of a server's output (banner, or why it cannot start), and of the end. */
const KEPT_CHARACTERS = 4_000;

/** Starts a server; resolves long before it answers. @throws DatabaseInUse; Error where the binary cannot be run */
export async function launch({ binary, args, env, address, lock }: LaunchOptions) {
  const lifeline = fileURLToPath(new URL('./lifeline.mjs', import.meta.url));
  // The server needs none of our settings, least of all the API key; and a debugger of ours is not for it.
  const passed = Object.entries(env).filter(([name]) => !name.startsWith('RIVYA_') && name !== 'NODE_OPTIONS');
  const child = spawn(process.execPath, [lifeline, lock ?? '', address, binary, ...args], {
    env: Object.fromEntries(passed),
    detached: true, // a group of its own: Ctrl-C must not end the server before we do
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    windowsHide: true,
  });
  let [banner, first, last] = ['', '', ''];
  const keep = (chunk: Buffer): void => {
    const text = chunk.toString();
    const room = KEPT_CHARACTERS - first.length;
    first += text.slice(0, room);
    last = (last + text.slice(room)).slice(-KEPT_CHARACTERS);
  };
  child.stdout?.on('data', (chunk: Buffer) => {
    banner = (banner + chunk.toString()).slice(0, KEPT_CHARACTERS);
    keep(chunk);
  });
  child.stderr?.on('data', keep);

  let pid = 0;
  let how: string | null = null;
  // The server holds the lifeline's stdout and stderr, so "close" comes when both are gone.
  const ended = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(how ?? `its lifeline: ${signal ?? `status ${code}`}`));
  });
  child.once('exit', () => {
    if (how !== null || pid === 0) return;
    // Somebody killed the lifeline: do its work.
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // The server is gone already.
    }
  });
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.once('close', () => reject(new Error(`the process above the server ended: ${first}`)));
    child.on('message', (message: LifelineMessage) => {
      if ('ended' in message) how = message.ended;
      else if ('failed' in message) reject(new Error(`cannot run ${binary}: ${message.failed}`));
      else if ('lockedBy' in message) reject(new DatabaseInUse(message.lockedBy));
      else resolve(void (pid = message.pid));
    });
  });

  return {
    /** Process ID of the server itself. */
    pid,
    /** Settles when both processes are gone, with how the server ended (`status 1`, `SIGKILL`). Never rejects. */
    ended,
    /** What the server printed, without the middle of much. A program in Go that panics prints a long trace: without it. */
    printed: (): string => `${first}${last}`.split('\ngoroutine ')[0]?.trim() ?? '',
    /** True if the server's first words on stdout (its banner, no logs) match. */
    hasPrinted: (pattern: RegExp): boolean => pattern.test(banner),
    /** Lets our own process end although the server runs, which then ends too. */
    unref(): void {
      for (const held of [child, child.channel, child.stdout as Socket | null, child.stderr as Socket | null])
        held?.unref();
    },
    /** Ends the server (SIGTERM, after 5 s SIGKILL); resolves when both processes are gone. Can be called again. */
    async stop(): Promise<void> {
      child.ref(); // waiting needs something that keeps our process alive
      // A message, because Node emits no "close" after a disconnect() of ours.
      if (child.connected) child.send('stop', () => {});
      await ended;
    },
  };
}

/** Path of the socket that locks a database file: the same for every process of this user. */
export async function databaseLock(dbFilename: string): Promise<string> {
  const path = absolute(dbFilename);
  const directory = await realpath(dirname(path)).catch(() => dirname(path));
  const locked = `${process.getuid?.() ?? ''}\n${join(directory, basename(path))}`;
  // In the temporary directory, because the path of a socket may have about 100 bytes only.
  const name = `rivya-temporal-${createHash('sha256').update(locked).digest('hex').slice(0, 16)}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}
