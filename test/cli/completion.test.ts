/** What Tab gives in the shells themselves. A shell that this machine does not have is left out. */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEmulator, type Emulator } from '../../src/emulator/index.js';
import { MAIN, runCommand } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-completion-'));
const has = (program: string): boolean => process.platform === 'linux' && spawnSync('which', [program]).status === 0;
let emulator: Emulator;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  emulator = await startEmulator();
  // The command as it is installed, but that it only says what it was asked for.
  const command = `#!/bin/sh\n[ "$1" = models ] && exec "${process.execPath}" "${MAIN}" models\necho "asked: $*."\n`;
  writeFileSync(path.join(cwd, 'rivya-temporal'), command);
  chmodSync(path.join(cwd, 'rivya-temporal'), 0o755);
  env = {
    ...process.env,
    HOME: cwd,
    ZDOTDIR: cwd,
    TERM: 'xterm',
    XDG_DATA_HOME: cwd,
    XDG_CONFIG_HOME: cwd,
    PATH: `${cwd}:${process.env['PATH']}`,
    RIVYA_BASE_URL: emulator.url,
  };
  for (const [shell, file] of [['bash'], ['zsh', '_rivya-temporal'], ['fish']] as const) {
    const { stdout } = await runCommand(['completion', shell], { cwd });
    writeFileSync(path.join(cwd, file ?? shell), stdout);
  }
  writeFileSync(path.join(cwd, '.bashrc'), "PS1='ready> '; source bash\n");
  writeFileSync(
    path.join(cwd, '.zshrc'),
    "PS1='ready> '; fpath=($ZDOTDIR $fpath); autoload -U compinit; compinit -u -D\n",
  );
});
afterAll(() => emulator.close());

/** Types a line into a shell at a terminal, and gives what was run. */
async function typed(shell: string, line: string): Promise<string> {
  const child = spawn('script', ['-qec', shell, '/dev/null'], { cwd, env });
  let output = '';
  const said = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = (): void => {
        const [, found] = pattern.exec(output) ?? [];
        if (found !== undefined) resolve(found);
      };
      child.stdout.on('data', look);
      child.once('close', () => reject(new Error(`ended: ${output}`)));
      look();
    });
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  await said(/(ready> )/);
  child.stdin.write(`${line}\r`);
  try {
    return await said(/asked: (.*)\.\s/);
  } finally {
    child.stdin.end('exit\r');
    child.kill();
  }
}

const LINES: [string, string, string][] = [
  ['a command', 'compl\tfish', 'completion fish'],
  ['a command of a group', 'batch down\t', 'batch download'],
  ['an option of such a command', 'batch report --op\t', 'batch report --open'],
  ['an option', 'generate --id-f\t', 'generate --id-from-input'],
  ['a model ID of the API', 'generate --model suno\t', 'generate --model suno-music'],
  ['a choice', 'models --category vi\t', 'models --category video'],
  ['a shell', 'completion zs\t', 'completion zsh'],
  ['a file', 'generate --prompt-file .bashr\t', 'generate --prompt-file .bashrc'],
];
// `models` itself is run by the stand-in.
const RUN = LINES.filter(([, line]) => !line.startsWith('models'));

describe.each([
  ['bash', 'bash --noprofile -i'],
  ['zsh', 'zsh -i'],
])('%s', (shell, program) => {
  test.runIf(has('script') && has(shell)).each(RUN)('completes %s', async (_, line, asked) => {
    expect((await typed(program, `rivya-temporal ${line}`)).trim()).toBe(asked);
  });
});

describe('fish', () => {
  test.runIf(has('fish')).each(LINES)('completes %s', async (_, line, asked) => {
    const [before = ''] = line.split('\t');
    const args = ['--no-config', '-c', 'source fish; complete -C $argv[1]', `rivya-temporal ${before}`];
    const { stdout } = await promisify(execFile)('fish', args, { cwd, env });
    const [word] = asked.split(' ').filter((one) => !before.split(' ').includes(one));
    expect(stdout.split('\n').map((one) => one.split('\t')[0])).toContain(word);
  });
});
