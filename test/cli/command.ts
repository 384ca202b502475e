import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The program itself. */
export const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

/** The command as a process of its own, with settings of its own. */
export class CommandRun {
  readonly child: ChildProcess;
  readonly status: Promise<number | null>;
  stdout = '';
  stderr = '';
  #changed: (() => void)[] = [];

  constructor(args: readonly string[], { env = {}, cwd }: { env?: NodeJS.ProcessEnv; cwd: string }) {
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(RIVYA|TEMPORAL)_|^(NO|FORCE)_COLOR$/.test(name),
    );
    // Where the server's binary is stays known; nothing else of the surroundings may leak in.
    const cli = process.env['TEMPORAL_CLI_PATH'];
    this.child = spawn(process.execPath, [MAIN, ...args], {
      cwd,
      env: { ...Object.fromEntries(inherited), ...(cli !== undefined && { TEMPORAL_CLI_PATH: cli }), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.on('data', (chunk: Buffer) => this.#add('stdout', chunk));
    this.child.stderr?.on('data', (chunk: Buffer) => this.#add('stderr', chunk));
    this.status = new Promise((resolve) => {
      this.child.once('close', (status) => {
        resolve(status);
        this.#wake();
      });
    });
  }

  /** Resolves when the output on stderr matches; rejects when the process ends before. */
  async untilSaid(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.stderr)) {
      if (this.child.exitCode !== null)
        throw new Error(`ended with ${this.child.exitCode} before ${pattern}:\n${this.stderr}`);
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
  }

  #add(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    this[stream] += chunk.toString();
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }
}

/** The settings that `dev` prints for other terminals. */
export function settingsOfDev({ stderr }: CommandRun): Record<string, string> {
  const [, printed = ''] = /: export (.*)/.exec(stderr) ?? [];
  return Object.fromEntries(printed.split(' ').map((pair) => pair.split('=')));
}

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runCommand(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd: string },
): Promise<Finished> {
  const run = new CommandRun(args, options);
  const status = await run.status;
  return { status, stdout: run.stdout, stderr: run.stderr };
}
