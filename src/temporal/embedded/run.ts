import { execFile } from 'node:child_process';

/** Runs a program, at most so long, and returns its stdout. @throws Error with the last line that it printed. */
export function run(
  command: string,
  args: readonly string[],
  { env, timeoutMs }: { readonly env: NodeJS.ProcessEnv; readonly timeoutMs: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env, timeout: timeoutMs, killSignal: 'SIGKILL', windowsHide: true } as const;
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const { killed, code, signal } = error;
      if (killed === true) return reject(new Error(`took longer than ${timeoutMs / 1000} s and was killed`));
      if (typeof code === 'string') return reject(new Error(`cannot be run (${code})`));
      return reject(new Error(lastLine(stderr) || lastLine(stdout) || `ended with ${signal ?? `status ${code}`}`));
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
