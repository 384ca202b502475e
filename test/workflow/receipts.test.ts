/** Receipts in the store: written before money can move, and no submit without them. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Receipts } from '../../src/storage/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    emulator: {
      faults: [
        { on: 'create', prompt: 'refused', do: { kind: 'error', code: 'validation_failed' } },
        { on: 'create', prompt: 'never answered', do: { kind: 'dropAfter' } },
        { on: 'create', prompt: 'fails', do: { kind: 'fail' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const receiptsOf = (key: string): ReturnType<Receipts['find']> =>
  new Receipts(harness.settings.store!, harness.emulator.url).find(key);
const keyOf = async (prompt: string): Promise<string> =>
  Object.entries((await harness.emulator.ledger()).keys).find(([, { bodies }]) => bodies[0]!.includes(prompt))?.[0] ??
  '';

// The last test takes the store away, so one after the other.
describe('a receipt', () => {
  test('says what was paid for which Workflow, with its labels and how it ended', async () => {
    const input = { model: 'z-image', prompt: 'plain', labels: { team: 'ads' } };
    const handle = await harness.client.start(input, { workflowId: 'receipt of success' });
    const { taskId, idempotencyKey } = await handle.result();
    expect(await receiptsOf(idempotencyKey!)).toMatchObject({
      submit: { workflowId: 'receipt of success', keyNumber: 1, unanswered: null, riskReason: null },
      answers: [{ taskId, keyNumber: 1, attempt: 1, labels: { team: 'ads' }, status: 'succeeded', finalCredits: 1 }],
    });
  });

  test('of a failed task says that nothing was kept', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'fails' });
    await handle.result().catch(() => undefined);
    const { answers } = await receiptsOf(await keyOf('fails'));
    expect(answers).toMatchObject([{ status: 'failed', reservedCredits: 1, finalCredits: 0 }]);
  });

  test('of a refusal leaves nothing unanswered', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'refused' });
    await handle.result().catch(() => undefined);
    expect(await receiptsOf(await keyOf('refused'))).toMatchObject({ submit: { unanswered: null }, answers: [] });
  });

  test('of an accepted risk says why', async () => {
    const input = { model: 'z-image', prompt: 'never answered', options: { idempotencyWindow: '1s' } } as const;
    const handle = await harness.client.start(input);
    const held = async (): Promise<boolean> => ((await handle.state())?.hold ?? null) !== null;
    await until(held);
    await handle.resume({ reason: 'Ada looked in the Studio' });
    const key = await keyOf('never answered');
    await until(async () => (await receiptsOf(key)).submit?.riskReason === 'Ada looked in the Studio');
    await handle.cancel();
    await handle.result().catch(() => undefined);
    expect((await receiptsOf(key)).submit?.unanswered).toMatchObject({ fingerprint: expect.any(String) });
  });

  test('that cannot be written lets nothing be posted, and the submit goes on when it can', async () => {
    const folder = path.join(harness.output, '.rivya');
    await rm(folder, { recursive: true });
    await writeFile(folder, 'no folder');
    const handle = await harness.client.start({ model: 'z-image', prompt: 'no store' });
    await until(async () => {
      const { raw } = await handle.describe();
      return raw.pendingActivities?.[0]?.lastFailure?.message?.includes('The store') ?? false;
    });
    expect(harness.emulator.requests().some(({ body }) => body.includes('no store'))).toBe(false);
    await rm(folder);
    await mkdir(folder);
    const { taskId } = await handle.result();
    expect((await harness.emulator.ledger()).keys[await keyOf('no store')]).toMatchObject({
      tasks: [taskId],
      posts: 1,
    });
  });
});
