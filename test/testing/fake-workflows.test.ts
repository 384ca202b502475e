/** Fakes for unit tests of a Workflow as a plain function: what a step comes to is what it comes to in a Workflow. */
import { ApplicationFailure } from '@temporalio/common';
import { describe, expect, test } from 'vitest';
import { fakeActivities, fakeWorkflows, type FakeOutcome } from '../../src/testing/index.js';

const urls = ['https://cdn.example/1.png'];
const input = { model: 'z-image', prompt: 'A fox' };
const files = [{ uri: 'file:/1.png', bytes: 1, sha256: '00', contentType: null, sourceUrl: urls[0]! }];

function fakes(outcomes: Record<string, FakeOutcome | readonly FakeOutcome[]>) {
  const fake = fakeActivities(outcomes);
  return { ...fakeWorkflows(fake), calls: (step: string) => fake.calls(step) };
}

async function failureOf(work: Promise<unknown>): Promise<ApplicationFailure> {
  const error = await work.then(
    () => expect.fail('it succeeded'),
    (failed: unknown) => failed,
  );
  expect(error).toBeInstanceOf(ApplicationFailure);
  return error as ApplicationFailure;
}

describe('generate', () => {
  test('gives the result of its step, with credits, checks and files', async () => {
    const { generate, calls } = fakes({ hero: { urls, files, credits: 3, checks: 2 } });
    expect(await generate(input, { step: 'hero' })).toMatchObject({
      status: 'succeeded',
      model: 'z-image',
      reservedCredits: 3,
      finalCredits: 3,
      primaryUrl: urls[0],
      files,
      attempts: 1,
      statusChecks: 2,
      reused: false,
      simulated: true,
    });
    expect(calls('hero')).toMatchObject({ rivyaSubmit: 1, rivyaCheck: 2, rivyaStore: 1 });
  });

  test('pays for as many attempts as are allowed, and no more', async () => {
    const outcomes = [{ taskFails: 'generation_failed' }, { urls }];
    const twice = fakes({ hero: outcomes });
    const request = { ...input, options: { maxAttempts: 2 } };
    expect(await twice.generate(request, { step: 'hero' })).toMatchObject({ attempts: 2 });
    const once = fakes({ hero: outcomes });
    const failed = await failureOf(once.generate(input, { step: 'hero' }));
    expect(failed).toMatchObject({ type: 'GenerationFailed', nonRetryable: true });
    expect(failed.message).toContain('options.maxAttempts: 2');
  });

  test('takes up a task by its ID without a submit', async () => {
    const { generate, calls } = fakes({ task_1: { urls } });
    const result = await generate({ ...input, taskId: 'task_1' }, { step: 'hero' });
    expect(result).toMatchObject({ taskId: 'task_1', reused: true, idempotencyKey: null });
    expect(calls('task_1')).toMatchObject({ rivyaSubmit: 0 });
  });

  test('refuses bad input by the name of the field, as a Workflow does', async () => {
    const { generate } = fakes({ hero: { urls } });
    const failed = await failureOf(generate({ ...input, prompt: '' }, { step: 'hero' }));
    expect(failed).toMatchObject({ type: 'InvalidInput', details: [{ field: 'prompt' }] });
    expect((await failureOf(generate(input, { step: ' ' }))).message).toMatch(/^step: is missing/);
  });

  test('each call is a generation of its own, as in another Workflow', async () => {
    const { generate } = fakes({ hero: { urls } });
    const first = await generate(input, { step: 'hero' });
    const second = await generate({ ...input, model: 'sora-2' }, { step: 'hero' });
    expect(second).toMatchObject({ model: 'sora-2', reused: false });
    expect(second.taskId).not.toBe(first.taskId);
    const own = await generate({ ...input, idempotencyKey: 'mine' }, { step: 'hero' });
    expect(own.idempotencyKey).toBe('mine');
  });

  test('two modules of the same fakes share no generation', async () => {
    const fake = fakeActivities({ first: { urls }, second: { urls: [] } });
    await fakeWorkflows(fake).generate(input, { step: 'first' });
    const failed = await failureOf(fakeWorkflows(fake).generate(input, { step: 'second' }));
    expect(failed.type).toBe('ResultMissing');
  });

  test('a task without a link is what it is after the wait for one', async () => {
    const { generate } = fakes({ hero: { urls: [] } });
    expect(await failureOf(generate(input, { step: 'hero' }))).toMatchObject({ type: 'ResultMissing' });
  });

  test.each(['validation_failed', 'insufficient_credits'] as const)('that is refused with %s fails', async (code) => {
    const { generate } = fakes({ hero: { fails: code } });
    const request = { ...input, options: { onActionNeeded: 'fail' as const } };
    expect(await failureOf(generate(request, { step: 'hero' }))).toMatchObject({ type: code, details: [{ code }] });
  });

  test('that is held is resumed at once, and one that would stay held says what to do', async () => {
    const { generate } = fakes({
      mended: { holds: 'insufficient_credits', urls },
      poor: { fails: 'insufficient_credits' },
    });
    expect(await generate(input, { step: 'mended' })).toMatchObject({ urls });
    await expect(generate(input, { step: 'poor' })).rejects.toThrow(/insufficient_credits.*cannot wait.*holds/);
  });

  test('without an outcome names the outcomes that there are', async () => {
    const { generate } = fakes({ hero: { urls } });
    expect((await failureOf(generate(input, { step: 'other' }))).message).toMatch(/no outcome for .*"other".*hero/);
  });
});

test('generateAll tells every outcome, and checks all before the first', async () => {
  const { generateAll, calls } = fakes({ good: { urls }, bad: { fails: 'validation_failed' } });
  const requests = [
    { ...input, step: 'good' },
    { ...input, step: 'bad' },
  ];
  expect(await generateAll(requests)).toMatchObject([
    { status: 'fulfilled', step: 'good', value: { urls } },
    { status: 'rejected', step: 'bad', reason: { type: 'validation_failed', taskId: null } },
  ]);
  const failed = await failureOf(generateAll([...requests, { model: '', prompt: 'x', step: 'third' }]));
  expect(failed.message).toMatch(/^\[2\]\.model/);
  const twice = await failureOf(generateAll([requests[0]!, requests[0]!]));
  expect(twice.message).toMatch(/^\[1\]\.step: "good" is that of \[0\]/);
  expect(calls('good')).toMatchObject({ rivyaSubmit: 1 });
});

test('startGeneration, chat and estimateCredits come to their outcomes', async () => {
  const { startGeneration, chat, estimateCredits } = fakes({ child: { urls }, ask: { says: 'A fox.', credits: 2 } });
  const child = await startGeneration(input, { step: 'child' });
  expect(child.workflowId).toMatch(/\/child$/);
  const nested = await failureOf(startGeneration(input, { step: 'a/b' }));
  expect(nested.message).toMatch(/^step: must not hold "\/"/);
  expect(await child.result()).toMatchObject({ urls });
  const answer = await chat({ model: 'gpt-5-2-chat', message: 'Fox?' }, { step: 'ask' });
  expect(answer).toMatchObject({ content: 'A fox.', finalCredits: 2, reused: false, model: 'gpt-5-2-chat' });
  const held = fakes({ ask: { holds: 'insufficient_credits', says: 'Paid.' } });
  expect(await held.chat({ model: 'gpt-5-2-chat', message: 'Fox?' }, { step: 'ask' })).toMatchObject({
    content: 'Paid.',
  });
  const wrong = await failureOf(held.chat({ model: 'gpt-5-2-chat', message: '' }, { step: 'ask' }));
  expect(wrong).toMatchObject({ type: 'InvalidInput', details: [{ field: 'message' }] });
  expect(await estimateCredits([input])).toMatchObject({ total: 0, unknown: ['z-image'], enough: null });
});
