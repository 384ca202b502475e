/** A paid result that is no image, video or audio: its link stands in the hold, and a person can release it as it is. */
import { mkdtempSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf, type GenerationError, type GenerationHandle } from '../../src/client.js';
import type { Hold } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';
import { runCommand } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-as-is-'));
const EXPIRED = '{"error":{"code":"expired"}}';
const WORDS = '{"words":[{"text":"fox","start":0.1}]}';
let harness: Harness;

beforeAll(async () => {
  const json = { kind: 'reply', status: 200, body: WORDS, headers: { 'content-type': 'application/json' } } as const;
  const page = { kind: 'reply', status: 200, body: '<h1>Sign in', headers: { 'content-type': 'text/html' } } as const;
  harness = await startHarness({
    emulator: {
      faults: [
        { on: 'media', prompt: 'timestamps', do: json },
        { on: 'media', prompt: 'changed', times: 2, do: json },
        { on: 'media', prompt: 'changed', do: { ...json, body: EXPIRED } },
        { on: 'media', prompt: 'not held', do: page },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

async function holdOf(handle: GenerationHandle, found: string): Promise<Hold | null> {
  await until(async () => (await stateOf(handle)).hold?.found === found);
  return (await stateOf(handle)).hold;
}

async function paidFor(prompt: string): Promise<number> {
  const { keys } = await harness.emulator.ledger();
  const mine = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(`"${prompt}"`)));
  return mine.reduce((sum, { tasks }) => sum + tasks.length, 0);
}

describe.concurrent('a result that is no image, video or audio', () => {
  test('holds with its link in status --json and memo, and resume --store-as-is stores it: one paid task', async () => {
    const env = { ...harness.temporalEnv, XDG_DATA_HOME: cwd, RIVYA_TASK_QUEUE: harness.taskQueue };
    const handle = await harness.client.start({ model: 'z-image', prompt: 'timestamps' }, { workflowId: 'words' });
    const hold = await holdOf(handle, 'application/json');
    const link = `${harness.emulator.url}/media/${(await stateOf(handle)).taskId}/1.png`;
    expect(hold).toMatchObject({ code: 'ResultUnavailable', link, action: expect.stringContaining('storeAsIs') });
    expect(memoOf(await handle.describe())?.hold).toEqual(hold);
    const shown = JSON.parse((await runCommand(['status', 'words', '--json'], { cwd, env })).stdout) as { hold: Hold };
    expect(shown.hold).toMatchObject({ link, action: expect.stringContaining('resume with --store-as-is;') });

    expect(await runCommand(['resume', 'words', '--store-as-is'], { cwd, env })).toMatchObject({ status: 0 });
    const { files } = await handle.result();
    expect(files).toMatchObject([{ contentType: 'application/json', bytes: WORDS.length }]);
    expect(files[0]!.uri).toMatch(/\/words\/1\.data\.json$/);
    expect(await readFile(fileURLToPath(files[0]!.uri), 'utf8')).toBe(WORDS);
    expect(await paidFor('timestamps')).toBe(1);
  });

  test('is released as it was seen: what the link gives later is another question, also where it is of that type', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'changed' });
    const mine = harness.temporal.workflow.getHandle(handle.workflowId);
    const first = await holdOf(handle, 'application/json');
    await mine.executeUpdate('resume', { args: [{ storeAsIs: true }] });
    await until(async () => ![undefined, first?.since].includes((await stateOf(handle)).hold?.since));
    await mine.signal('resume', { storeAsIs: true });
    const { files } = await handle.result();
    expect(files).toMatchObject([{ bytes: EXPIRED.length, uri: expect.stringMatching(/\/1\.data\.json$/) }]);
    expect(await paidFor('changed')).toBe(1);
  });

  test('fails with its link where the caller wants no hold', async () => {
    const options = { onActionNeeded: 'fail' } as const;
    const handle = await harness.client.start({ model: 'z-image', prompt: 'not held', options });
    const error = await handle.result().then(
      () => expect.fail('it succeeded'),
      (failed: unknown) => failed as GenerationError,
    );
    const link = expect.stringMatching(/\/media\/.*\/1\.png$/) as string;
    expect(error).toMatchObject({ code: 'ResultUnavailable', details: { found: 'text/html', link } });
    expect(error.details.action).toContain('save it from there');
  });
});
