/** Fakes for users' tests: each outcome is what the real Activities would make the Workflow see. */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import type { GenerateMediaInput, GenerationResult, GenerationState, ResumeInput } from '../../src/contract/index.js';
import { createTestEnvironment, fakeActivities, type FakeOutcome, type TestEnvironment } from 'rivya-temporal/testing';
import { quietRuntime } from '../support/harness.js';
import { until } from '../support/until.js';

const urls = ['https://cdn.example/1.png'];
const fake = fakeActivities({
  twice: [
    { taskFails: 'generation_failed', credits: 4 },
    { urls, credits: 4 },
  ],
  refused: { fails: 'validation_failed' },
  poor: { fails: 'insufficient_credits' },
  unresolved: { holds: 'SubmitUnresolved', urls },
  stored: { urls, files: [{ uri: 'file:/1.png', bytes: 1, sha256: '00', contentType: null, sourceUrl: urls[0]! }] },
  checked: { urls, checks: 1 },
  task_of_yesterday: { urls },
  image: { urls },
  text: { says: 'A fox.' },
  'held/image': { holds: 'insufficient_credits', urls: ['https://cdn.example/held.png'] },
  'held/text': { holds: 'SubmitUnresolved', says: 'A fox, once.' },
});
let env: TestEnvironment;

beforeAll(async () => {
  quietRuntime();
  vi.stubEnv('TEMPORAL_ADDRESS', inject('temporalAddress'));
  const workflowsPath = fileURLToPath(new URL('workflows.ts', import.meta.url));
  const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('WARN') });
  env = await createTestEnvironment({ workflowBundle, fake });
});
afterAll(async () => {
  await env.dispose();
  vi.unstubAllEnvs();
});

/** A generation whose outcome is named by the last part of its Workflow ID. */
async function run(name: string, input: Partial<GenerateMediaInput> = {}): Promise<GenerationResult> {
  const workflowId = `${randomUUID()}/${name}`;
  const handle = await env.generations.start({ model: 'z-image', prompt: 'A fox', ...input }, { workflowId });
  return handle.result();
}

describe('a generation', () => {
  test.concurrent('several outcomes are those of its paid attempts', async () => {
    const result = await run('twice', { options: { maxAttempts: 2 } });
    expect(result).toMatchObject({ status: 'succeeded', attempts: 2, urls, reservedCredits: 4, simulated: true });
    expect(fake.calls('twice')).toMatchObject({ rivyaSubmit: 2, rivyaCheck: 0, rivyaStore: 1 });
  });

  test.concurrent('is refused with the code, and the failure says what the real one says', async () => {
    await expect(run('refused')).rejects.toMatchObject({ code: 'validation_failed', details: { httpStatus: 400 } });
    const poor = run('poor', { options: { onActionNeeded: 'fail' } });
    await expect(poor).rejects.toMatchObject({ code: 'insufficient_credits', details: { httpStatus: 402 } });
  });

  test.concurrent('is held after an unanswered submit until a person gives a reason', async () => {
    const handle = await env.generations.start({ model: 'z-image', prompt: 'A fox' }, { workflowId: 'x/unresolved' });
    await until(async () => (await handle.state())?.hold?.code === 'SubmitUnresolved');
    expect(await handle.resume({ reason: 'It is not in the Studio.' })).toBe('resumed');
    expect((await handle.result()).urls).toEqual(urls);
  });

  test.concurrent('after an unanswered submit takes up the task that a person has found', async () => {
    const workflowId = `${randomUUID()}/unresolved`;
    const handle = await env.generations.start({ model: 'z-image', prompt: 'A fox' }, { workflowId });
    await until(async () => (await handle.state())?.hold?.code === 'SubmitUnresolved');
    expect(await handle.resume({ taskId: 'task_of_yesterday' })).toBe('resumed');
    expect(await handle.result()).toMatchObject({ taskId: 'task_of_yesterday', reused: true, urls });
    expect(fake.calls(workflowId)).toMatchObject({ rivyaSubmit: 1, rivyaCheck: 1 });
  });

  test.concurrent('gives the files of its store', async () => {
    expect((await run('stored')).files).toMatchObject([{ uri: 'file:/1.png' }]);
  });

  test.concurrent('ends at the status check that was asked for', async () => {
    expect((await run('checked')).statusChecks).toBe(1);
    expect(fake.calls('checked')).toMatchObject({ rivyaSubmit: 1, rivyaCheck: 1, rivyaStore: 1 });
  });

  test.concurrent('takes up a task by its ID without a submit', async () => {
    const result = await run('taken up', { taskId: 'task_of_yesterday' });
    expect(result).toMatchObject({ taskId: 'task_of_yesterday', reused: true, urls });
    expect(fake.calls('task_of_yesterday')).toMatchObject({ rivyaSubmit: 0 });
  });

  test.concurrent('without an outcome fails and names the outcomes that there are', async () => {
    await expect(run('forgotten')).rejects.toThrow(/no outcome for .* or "forgotten".*only for twice, refused/);
  });
});

describe('a step', () => {
  const poster = { taskQueue: 'pipelines', args: ['A fox'] };

  test.concurrent('comes to the outcome of its name, and a later run of its Workflow takes its result', async () => {
    const workflowId = randomUUID();
    for (const runs of [1, 2]) {
      const result: unknown = await env.client.workflow.execute('poster', { ...poster, workflowId });
      expect(result).toEqual({ image: urls[0], text: 'A fox.' });
      expect(fake.calls(`${workflowId}/image`)).toMatchObject({ rivyaSubmit: 1, rivyaResult: runs - 1 });
      expect(fake.calls(`${workflowId}/text`)).toMatchObject({ rivyaChat: 1, rivyaResult: runs - 1 });
    }
  });

  test.concurrent('that is held is resumed through its child, and its Workflow goes on', async () => {
    const parent = await env.client.workflow.start('poster', { ...poster, workflowId: 'held' });
    const resume = async (step: string, code: string, argument: ResumeInput = {}): Promise<void> => {
      const child = env.client.workflow.getHandle(`held/${step}`);
      const state = (): Promise<GenerationState | null> => child.query<GenerationState>('generation').catch(() => null);
      await until(async () => (await state())?.hold?.code === code);
      expect(await child.executeUpdate<string, [ResumeInput]>('resume', { args: [argument] })).toBe('Resumed.');
    };
    await resume('image', 'insufficient_credits');
    await resume('text', 'SubmitUnresolved', { reason: 'The credits were not taken.' });
    expect(await parent.result()).toEqual({ image: 'https://cdn.example/held.png', text: 'A fox, once.' });
    expect(fake.calls('held/image')).toMatchObject({ rivyaSubmit: 2 });
    expect(fake.calls('held/text')).toMatchObject({ rivyaChat: 2 });
  });
});

const NEVER_SEEN: [string, FakeOutcome, RegExp][] = [
  ['a refusal that Temporal repeats', { fails: 'rate_limited' }, /hero: rate_limited is repeated/],
  ['a hold that nobody could mend', { holds: 'validation_failed', urls }, /hero: validation_failed is nothing/],
];
test.each(NEVER_SEEN)('refuses %s', (_, outcome, problem) => {
  expect(() => fakeActivities({ hero: outcome })).toThrow(problem);
});
