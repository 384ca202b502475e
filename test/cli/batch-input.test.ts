/** P8 for batches: bad input has exit status 2, names the line or the option, and starts and pays nothing. In this process. */
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { BatchFiles } from '../../src/batch/files.js';
import * as edit from '../../src/cli/commands/batch/edit.js';
import * as report from '../../src/cli/commands/batch/report.js';
import * as retry from '../../src/cli/commands/batch/retry.js';
import * as run from '../../src/cli/commands/batch/run.js';
import * as status from '../../src/cli/commands/batch/status.js';
import * as steer from '../../src/cli/commands/batch/steer.js';
import { mayGoOn } from '../../src/cli/batch-plan.js';
import { judge } from '../../src/cli/errors.js';
import type { Register } from '../../src/cli/options.js';
import { FileStore } from '../../src/storage/index.js';

const COMMANDS: Readonly<Record<string, { readonly register: Register }>> = {
  run,
  status,
  report,
  retry,
  pause: steer,
  add: edit,
  drop: edit,
};
const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-batch-input-'));
const before = { ...process.env };
const REAL = { RIVYA_API_KEY: 'rvya_sk_secret', RIVYA_BASE_URL: 'https://127.0.0.1:1' };
let folder: string;

beforeAll(() => {
  for (const name of Object.keys(process.env)) if (/^(RIVYA|TEMPORAL)_/.test(name)) delete process.env[name];
  process.env['XDG_DATA_HOME'] = cwd;
});
afterAll(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
});
beforeEach(() => {
  folder = mkdtempSync(path.join(cwd, 'case-'));
});

/** Runs a command here. Returns its exit status, and the message of its error. */
async function batch(name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { register } = COMMANDS[name]!;
  const command = new Command(name)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .argument('[args...]');
  const work = register(command);
  let exit = 0;
  command.action(async () => {
    exit = await work(command.opts<never>(), ...command.args);
  });
  Object.assign(process.env, env);
  try {
    await command.parseAsync([...args, '--store', `file:${folder}`], { from: 'user' });
    return { status: exit, message: '' };
  } catch (error) {
    return judge(error);
  } finally {
    for (const key of Object.keys(env)) delete process.env[key];
  }
}

/** Runs `batch run` on a file of this content. */
async function runOn(
  content: string | Uint8Array,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
) {
  writeFileSync(path.join(folder, 'in.csv'), content);
  return batch('run', [path.join(folder, 'in.csv'), ...args], env);
}

const GOOD = 'model,prompt,sku\nz-image,a fox,1\nz-image,an owl,2\n';

describe('the file and the options', () => {
  test.each<[string, string, string[], RegExp]>([
    ['a column twice', 'model,prompt,prompt\nz-image,a,b\n', [], /line 1: the column prompt is there twice/],
    ['a line of 5 MB', `model,prompt\nz-image,a\nz-image,${'x'.repeat(5_000_000)}\n`, [], /line 3: is longer than/],
    ['an item ID with a slash', 'id,model,prompt\na/b,z-image,a\n', [], /line 2: .*id.* must be 1 to 100 characters/],
    ['an item ID that a table has', 'id,model,prompt\nresults.csv,z-image,a\n', [], /line 2: .*"results\.csv"/],
    ['an unknown model', 'model,prompt\nnope,a\n', [], /line 2: .*"nope"/],
    ['no model', 'prompt\na fox\n', [], /line 1: .*--model/],
    ['no items', 'model,prompt\n', [], /no items/],
    ['an unknown encoding', GOOD, ['--encoding', 'klingon'], /klingon/],
    ['a template with an unknown column', GOOD, ['--name', '{color}'], /^--name: there is no column \{color\}/],
    ['a template that collides', GOOD, ['--name', '{model}'], /^--name: gives items .* the same name/],
    ['--first 0', GOOD, ['--first', '0'], /--first/],
    ['a deadline that is none', GOOD, ['--deadline', 'soon'], /--deadline.*6h/],
    ['--max-in-flight 0', GOOD, ['--max-in-flight', '0'], /--max-in-flight/],
    ['--max-failures of nothing', GOOD, ['--max-failures', '0%'], /--max-failures/],
    ['--max-credits of nothing', GOOD, ['--max-credits', '0'], /--max-credits/],
    ['a budget below one item', GOOD, ['--max-credits', '0.5'], /^--max-credits: 0\.5 allows no item, .* costs 1\b/],
    ['a batch ID with a slash', GOOD, ['--id', 'a/b'], /^--id: "a\/b" must be/],
    ['a param that is none', GOOD, ['--param', 'x'], /^--param/],
    ['a reference that is none', GOOD, ['--reference', 'x'], /^--reference/],
  ])('%s', async (_, content, args, says) => {
    const { status: exit, message } = await runOn(content, args);
    expect(message).toMatch(says);
    expect(exit).toBe(2);
    expect(existsSync(path.join(folder, '.rivya'))).toBe(false);
  });

  test('no file at all', async () => {
    const { status: exit, message } = await batch('run', [path.join(folder, 'nope.csv')]);
    expect([exit, message]).toEqual([2, expect.stringMatching(/nope\.csv.*\n.*ENOENT/)]);
  });
});

describe('another batch than was meant', () => {
  test.each([['status'], ['retry'], ['report'], ['pause'], ['add'], ['drop']])('no such batch: %s', async (name) => {
    const { status: exit, message } = await batch(name, ['nope', 'x']);
    expect(message).toMatch(/no batch "nope" in the store file:/);
    expect(exit).toBe(2);
  });

  async function started(api: string): Promise<void> {
    const files = new BatchFiles(new FileStore(`file:${folder}`), 'in');
    const input = { model: 'z-image', prompt: 'a heron' };
    async function* source() {
      yield { id: 'x', variant: 1, workflowId: 'in/x', input, digest: 'd', priceClass: 0, carried: {} };
    }
    const classes = [{ model: 'z-image', items: 1, estimate: 1 }];
    const { sha256: manifest } = await files.writeManifest(source, { classes, columns: [], source: null, api });
    const settings = { maxInFlight: 50, maxCredits: null, maxFailures: null };
    await files.writeHead({ version: 1, manifest, settings, name: null, balance: null });
  }

  test('a batch of the emulator with a real key', async () => {
    await started('emulator');
    const { status: exit, message } = await runOn(GOOD, ['--yes', '--max-credits', '100'], REAL);
    expect(message).toMatch(
      /^--id: batch "in" .* the emulator, .* the API at 127\.0\.0\.1:1\. The two are never mixed/,
    );
    expect(message).not.toContain('secret');
    expect(exit).toBe(2);
  });

  test('a batch of another file, where nobody can be asked', async () => {
    await started('emulator');
    const { status: exit, message } = await runOn(GOOD);
    expect([exit, message]).toEqual([2, expect.stringMatching(/no terminal.*--yes/)]);
  });
});

describe('without a terminal', () => {
  const consent = (api: string, yes: boolean, maxCredits: number | null) =>
    mayGoOn(
      { yes },
      { place: { api }, remaining: 5, maxCredits, changes: null, interrupted: new AbortController().signal },
    );

  test('credits are spent only with --yes and a limit', async () => {
    await expect(consent('rivya.ai', true, 100)).resolves.toBe(true);
    await expect(consent('rivya.ai', true, null)).rejects.toThrow(/--yes and --max-credits <n> are needed/);
    await expect(consent('rivya.ai', false, 100)).rejects.toThrow(/Nothing was spent/);
  });

  test('the emulator asks nothing, because nothing is paid', async () => {
    await expect(consent('emulator', false, null)).resolves.toBe(true);
  });
});
