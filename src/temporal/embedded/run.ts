import { execFile } from 'node:child_process';

/**
 * Runs a program to its end and returns what it printed on stdout.
 * @param options - `timeoutMs`: milliseconds after which it is killed for good (SIGKILL).
 * @throws Error with the last line that it printed, when it cannot be started, fails, or takes too long.
 */
export function run(
  command: string,
  args: readonly string[],
  { env, timeoutMs }: { readonly env: NodeJS.ProcessEnv; readonly timeoutMs: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env, timeout: timeoutMs, killSignal: 'SIGKILL', windowsHide: true } as const;
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (error.killed === true) reject(new Error(`took longer than ${timeoutMs / 1000} s and was killed`));
      else if (typeof error.code === 'string') reject(new Error(`cannot be run (${error.code})`));
      else
        reject(
          new Error(lastLine(stderr) || lastLine(stdout) || `ended with ${error.signal ?? `status ${error.code}`}`),
        );
    });
  });
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() ?? '';
}

/** Time since `started` (from `performance.now()`), for people. */
export function elapsed(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}

/** What went wrong, as one line. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
