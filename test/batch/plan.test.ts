/** What a batch still has to do and to pay, and what can be tried again, from its records. */
import { describe, expect, test } from 'vitest';
import { planOf, timeOf } from '../../src/batch/plan.js';
import { rowsOf } from '../../src/batch/results.js';
import { retriesOf } from '../../src/batch/retries.js';
import { madeBatch, type MadeItem } from './made.js';

const ids = (count: number): MadeItem[] => Array.from({ length: count }, (_, n) => ({ id: `i${n}` }));
const error = (code: string) => ({ code, message: `It ended with ${code}.`, action: null });

async function plan(items: readonly MadeItem[], first: number | null = null) {
  const { files, manifest } = await madeBatch(items);
  return planOf(rowsOf(files, manifest), { classes: manifest.classes, first });
}

describe('the plan', () => {
  test('before anything has run: from the starting price to one and a half times that', async () => {
    expect(await plan(ids(10))).toMatchObject({ items: 10, done: 0, remaining: 10, estimate: { from: 10, to: 15 } });
  });

  test('by real prices once an item has run, and only for what remains', async () => {
    const [first, ...rest] = ids(10);
    const items = [{ ...first!, outcome: { finalCredits: 3 } }, ...rest];
    expect(await plan(items)).toMatchObject({ done: 1, spentCredits: 3, estimate: { from: 27, to: 27 }, cheapest: 3 });
    expect(await plan(items, 4)).toMatchObject({ items: 4, done: 1, remaining: 3, estimate: { from: 9, to: 9 } });
  });

  test('an item that is to be tried again remains', async () => {
    const items: MadeItem[] = [
      { id: 'a', outcome: { retry: 'wait' } },
      { id: 'b', outcome: {} },
    ];
    expect(await plan(items)).toMatchObject({ done: 1, remaining: 1 });
  });

  test('what was paid for items that were edited, dropped, or are to be bought again is spent', async () => {
    const paid = { finalCredits: 3 };
    const { files, manifest } = await madeBatch([
      { id: 'a', outcome: paid },
      { id: 'b', outcome: { ...paid, workflowId: 'spring/b-0123' } },
      { id: 'c', outcome: { ...paid, status: 'failed', retry: 'buy' } },
    ]);
    const dropped = { itemId: 'dropped', workflowId: 'spring/dropped' };
    await files.writeOutcome({ ...(await files.outcome('spring/a'))!, ...dropped });
    const { classes } = manifest;
    expect(await planOf(rowsOf(files, manifest), { classes, first: null })).toMatchObject({
      items: 3,
      spentCredits: 12,
    });
    expect(await planOf(rowsOf(files, manifest), { classes, first: 1 })).toMatchObject({ items: 1, spentCredits: 12 });
  });

  test('an item that may have a task counts at its expected price, and it says of how many that is so', async () => {
    const submit = {
      status: 'failed',
      taskId: null,
      taskStatus: null,
      reservedCredits: null,
      finalCredits: null,
    } as const;
    const outcome = { ...submit, error: error('SubmitUnresolved') };
    expect(await plan([{ id: 'a', outcome }, ...ids(1)])).toMatchObject({ done: 1, unknown: 1, spentCredits: 1 });
  });

  test('takes the time that the limit of calls leaves, and no less than an item takes', () => {
    const models = new Map([['z-image', 600]]);
    const limits = { perMinute: 60, maxInFlight: 1_000 };
    const [from, to] = timeOf({ remaining: 600, measured: null, models }, limits, () => 'image');
    expect([from, to]).toEqual([20 * 60_000, 70 * 60_000]);
    const few = { remaining: 1, measured: null, models: new Map([['veo3-1', 1]]) };
    expect(timeOf(few, limits, () => 'video')[0]).toBe(60_000);
  });
});

describe('what can be tried again', () => {
  const failed = { status: 'failed', taskStatus: 'failed', finalCredits: 0 } as const;
  const noTask = { status: 'failed', taskId: null, taskStatus: null, attempts: 0, reservedCredits: null } as const;
  const cases: readonly [string, MadeItem['outcome'] & object, Partial<Awaited<ReturnType<typeof retriesOf>>>][] = [
    ['a success is left alone', {}, { wait: [], buy: [], never: [], unresolved: [] }],
    [
      'a task that has not failed is waited for, free',
      { status: 'failed', taskStatus: 'processing', error: error('DeadlinePassed') },
      { wait: [expect.objectContaining({ itemId: 'a' })], buy: [] },
    ],
    [
      'a cancelled item with a task is waited for, free',
      { status: 'cancelled', taskStatus: 'queued', error: error('Cancelled') },
      { wait: [expect.objectContaining({ itemId: 'a' })], buy: [] },
    ],
    [
      'a task that failed is bought anew, at the price that it had',
      { ...failed, reservedCredits: 7, error: error('generation_failed') },
      {
        wait: [],
        buy: [{ code: 'generation_failed', items: 1, credits: 7, message: 'It ended with generation_failed.' }],
      },
    ],
    [
      'wrong input is never bought again',
      { ...failed, error: error('validation_failed') },
      { wait: [], buy: [], never: [expect.objectContaining({ code: 'validation_failed' })] },
    ],
    [
      'a submit without an answer is listed, and never tried again',
      { ...noTask, error: error('SubmitUnresolved') },
      { wait: [], buy: [], never: [], unresolved: ['spring/a'] },
    ],
  ];
  test.each(cases)('%s', async (_, outcome, expected) => {
    const { files, manifest } = await madeBatch([{ id: 'a', outcome }]);
    expect(await retriesOf(rowsOf(files, manifest), manifest.classes)).toMatchObject(expected);
  });
});
