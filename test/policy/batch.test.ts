/** What a batch may start, what it may cost, and when it holds. */
import { describe, expect, test } from 'vitest';
import type { BatchOutcome, BatchProgress, BatchSettings, GenerationMemo } from '../../src/contract/index.js';
import { lineOf } from '../../src/cli/batch-progress.js';
import * as batch from '../../src/policy/batch.js';
import { describeBatch, itemAdvice } from '../../src/policy/batch-text.js';
import type { Running } from '../../src/policy/batch.js';

const NOW = Date.parse('2027-01-01T12:00:00Z');
const SETTINGS: BatchSettings = { maxInFlight: 50, maxCredits: null, maxFailures: null, first: null };
const MANIFEST = {
  items: 1_000,
  classes: [
    { model: 'cheap', items: 500, estimate: 2 },
    { model: 'unknown', items: 500, estimate: null },
  ],
};

const ended = (change: Partial<BatchOutcome> = {}): BatchOutcome => ({
  version: 1,
  itemId: 'i',
  workflowId: 'b/i',
  runId: 'r',
  status: 'succeeded',
  digest: '',
  priceClass: 0,
  model: 'cheap',
  taskId: 't',
  taskStatus: 'succeeded',
  idempotencyKey: null,
  reservedCredits: 2,
  finalCredits: 2,
  earlierCredits: 0,
  attempts: 1,
  statusChecks: 1,
  files: [],
  urls: [],
  error: null,
  simulated: true,
  startedAt: null,
  endedAt: '2027-01-01T11:00:00Z',
  retry: null,
  ...change,
});
const error = (code: string): BatchOutcome['error'] => ({ code, message: '', action: null });
const failed = (code: string, change: Partial<BatchOutcome> = {}): BatchOutcome =>
  ended({ status: 'failed', taskStatus: 'failed', error: error(code), ...change });

function after(records: readonly BatchOutcome[], from: BatchProgress = batch.progressAtStart()): BatchProgress {
  return records.reduce(
    (progress, record) => batch.counted(progress, record, { priceClass: record.priceClass, expected: 2, now: NOW }),
    from,
  );
}

function running(count: number, change: Partial<NonNullable<Running['memo']>> = {}, priceClass = 0): Running[] {
  const memo = { phase: 'waiting', hold: null, reservedCredits: null, earlier: [], ...change } as const;
  return Array.from({ length: count }, (_, n) => ({ workflowId: `b/${priceClass}-${n}`, priceClass, memo }));
}

const heldFor = (code: string, seconds: number): Partial<GenerationMemo> => ({
  phase: 'held',
  hold: {
    code,
    message: 'No.',
    action: 'Act.',
    httpStatus: 402,
    requestId: null,
    since: new Date(NOW - seconds * 1_000).toISOString(),
  },
});

type Change = Partial<BatchSettings> & { readonly progress?: BatchProgress; readonly running?: readonly Running[] };
const input = ({ progress = batch.progressAtStart(), running: runs = [], ...settings }: Change) => ({
  batchId: 'b',
  manifest: MANIFEST,
  settings: { ...SETTINGS, ...settings },
  progress,
  running: runs,
  now: NOW,
});
const gate = (change: Change): batch.Gate => new batch.Gate(input(change));
const brake = (change: Change): string | null => batch.brake(input(change))?.code ?? null;

function admitted(of: batch.Gate, priceClass: number, count: number): string[] {
  return Array.from({ length: count }, () => {
    const verdict = of.admit({ priceClass });
    return typeof verdict === 'string' ? verdict : verdict.code;
  });
}

describe('slots', () => {
  test.each([
    ['none run', [], 3],
    ['two run', running(2), 1],
    ['more run than are allowed', running(5), 0],
    [
      'one is held by its own cause for a minute: its slot is given back',
      running(3, heldFor('SubmitUnresolved', 60)),
      3,
    ],
    ['one is held by its own cause for less', running(3, heldFor('SubmitUnresolved', 59)), 0],
    ['the cause is one that all share: no slot is given back', running(3, heldFor('insufficient_credits', 600)), 0],
  ])('%s', (_, runs, slots) => {
    expect(gate({ maxInFlight: 3, running: runs }).slots).toBe(slots);
  });

  test('items that wait for persons do not pile up without end', () => {
    const open = Array.from({ length: 1_003 }, (_, index) => ({ index, workflowId: `b/${index}`, priceClass: 0 }));
    const runs = running(1_003, heldFor('SubmitUnresolved', 3_600));
    expect(gate({ maxInFlight: 3, running: runs, progress: { ...batch.progressAtStart(), open } }).slots).toBe(0);
  });
});

describe('budget', () => {
  test('an item that has left the manifest counts as the dearest kind until credits are reserved for it', () => {
    const progress = after([ended({ finalCredits: 3 })]);
    const left = (reservedCredits: number | null) =>
      running(1, { reservedCredits }).map((one) => ({ ...one, priceClass: null }));
    expect(gate({ progress, running: left(null) }).committed).toBe(3);
    expect(gate({ progress, running: left(1) }).committed).toBe(1);
  });

  test('another count of the records forgets no item that was open, or had left the manifest', () => {
    const open = [{ index: 0, workflowId: 'b/a', priceClass: 0 }];
    const before = { ...batch.progressAtStart(), open };
    expect(batch.progressAtStart({ ...before, left: [{ workflowId: 'b/c' }] }).left).toEqual([
      { workflowId: 'b/c' },
      { workflowId: 'b/a' },
    ]);
    // No look has come to its end: the next one asks Temporal.
    expect(batch.progressAtStart(before).left).toBeUndefined();
  });

  test('without a price, only one item of a class is started', () => {
    const open = gate({ maxCredits: 100 });
    expect(admitted(open, 0, 3)).toEqual(['start', 'probing', 'probing']);
    expect(admitted(open, 1, 2)).toEqual(['start', 'probing']);
    expect(admitted(gate({ maxCredits: 100, running: running(1) }), 0, 1)).toEqual(['probing']);
  });

  test('credits that are reserved open the class, and each item counts with them', () => {
    const runs = running(1, { reservedCredits: 4 });
    const progress = batch.withReserved(batch.progressAtStart(), runs);
    expect(admitted(gate({ maxCredits: 10, running: runs, progress }), 0, 2)).toEqual(['start', 'BudgetReached']);
  });

  test('where the item that is to teach the price waits for a person, another one teaches it after a minute', () => {
    const held = (seconds: number) => running(1, heldFor('SubmitUnresolved', seconds));
    expect(admitted(gate({ maxCredits: 100, running: held(59) }), 0, 1)).toEqual(['probing']);
    expect(admitted(gate({ maxCredits: 100, running: held(60) }), 0, 2)).toEqual(['start', 'probing']);
  });

  test('with a price, items are started as long as all may cost it', () => {
    const progress = after([ended({ finalCredits: 3 })]);
    expect(admitted(gate({ maxCredits: 10, progress }), 0, 4)).toEqual([
      'start',
      'start',
      'BudgetReached',
      'BudgetReached',
    ]);
  });

  test('the limit that is proposed has each item once, those of the same look too', () => {
    const all = gate({ maxCredits: 6, progress: after([ended()]) });
    expect(admitted(all, 0, 2)).toEqual(['start', 'start']);
    expect(all.admit({ priceClass: 0 })).toMatchObject({ action: expect.stringContaining('--max-credits 2000,') });
  });

  test('items that run count at the larger of reserved and expected', () => {
    const progress = after([ended({ finalCredits: 3 })]);
    const runs = [...running(1, { reservedCredits: 5 }), ...running(1, { reservedCredits: 1 })];
    expect(gate({ progress, running: runs }).committed).toBe(8);
    expect(admitted(gate({ maxCredits: 14, progress, running: runs }), 0, 2)).toEqual(['start', 'BudgetReached']);
  });

  test('attempts before count too, of items that run and of items that ended', () => {
    expect(gate({ running: running(1, { earlier: ['t1'] }) }).committed).toBe(4);
    const givenBack = { earlier: ['t1'], earlierCredits: { t1: 0 } };
    expect(gate({ running: running(1, givenBack) }).committed).toBe(2);
    expect(after([ended({ earlierCredits: 4 })]).spentCredits).toBe(6);
  });

  test('an item is started only where all attempts that it may pay for fit; those that were not needed are free again', () => {
    const [first, ...others] = MANIFEST.classes;
    const manifest = { ...MANIFEST, classes: [{ ...first!, attempts: 3 }, ...others] };
    const of = (change: Change): batch.Gate => new batch.Gate({ ...input(change), manifest });
    const progress = after([ended({ finalCredits: 2 })]);
    expect(admitted(of({ maxCredits: 14, progress }), 0, 3)).toEqual(['start', 'start', 'BudgetReached']);
    expect(admitted(of({ maxCredits: 13, progress }), 0, 2)).toEqual(['start', 'BudgetReached']);
    expect(of({ running: running(1) }).committed).toBe(6);
    expect(of({ running: running(1, { earlier: ['t1'] }) }).committed).toBe(6);
    expect(of({ running: running(1, { earlier: ['t1', 't2'], reservedCredits: 2 }) }).committed).toBe(6);
    const left = running(1, { reservedCredits: 2 }).map((run) => ({ ...run, priceClass: null }));
    expect(of({ running: left }).committed).toBe(6);
  });

  test('an item that is started again may pay for one task, whatever its class may', () => {
    const [first, ...others] = MANIFEST.classes;
    const manifest = { ...MANIFEST, classes: [{ ...first!, attempts: 3 }, ...others] };
    const of = (change: Change): batch.Gate => new batch.Gate({ ...input(change), manifest });
    const again = { priceClass: 0, again: true };
    expect(of({ maxCredits: 2 }).admit(again)).toBe('start');
    expect(of({ maxCredits: 2 }).admit({ priceClass: 0 })).toMatchObject({ code: 'BudgetReached' });
    const [run] = running(1);
    expect(of({ running: [{ ...run!, again: true }] }).committed).toBe(2);
  });

  test('what an item has cost before it was started again counts while it runs', () => {
    const before = batch.creditsBefore(failed('generation_failed', { finalCredits: 2, retry: 'buy' }), 2);
    expect(before).toBe(2);
    expect(batch.creditsBefore(failed('DeadlinePassed', { taskStatus: 'queued', retry: 'wait' }), 2)).toBe(0);
    const [run] = running(1);
    // It is among the spent credits, once.
    expect(gate({ running: [{ ...run!, earlierCredits: before }] }).committed).toBe(2);
    const [again] = running(1, { earlier: ['t1'] });
    expect(gate({ running: [{ ...again!, earlierCredits: before }] }).committed).toBe(2);
    const progress = batch.withPaid(batch.progressAtStart(), before);
    expect(gate({ maxCredits: 3, progress }).admit({ priceClass: 0 })).toMatchObject({ code: 'BudgetReached' });
  });

  test('a class without any known price is not started once the budget is used up', () => {
    expect(admitted(gate({ maxCredits: 2, progress: after([ended()]) }), 1, 1)).toEqual(['BudgetReached']);
  });

  test.each([
    ['final credits lower what was reserved', ended({ reservedCredits: 5, finalCredits: 1 }), 1],
    ['a failed task that was given back', failed('generation_failed', { finalCredits: 0 }), 0],
    ['a failed task that was charged', failed('generation_failed', { finalCredits: 2 }), 2],
    [
      'a task that goes on',
      failed('DeadlinePassed', { taskStatus: 'processing', reservedCredits: 1, finalCredits: 0 }),
      2,
    ],
    ['a task that may exist', failed('SubmitUnresolved', { taskId: null, taskStatus: null, finalCredits: null }), 2],
    ['a refusal', failed('validation_failed', { taskId: null, taskStatus: null, reservedCredits: null }), 0],
  ])('spent: %s', (_, record, credits) => {
    expect(after([record]).spentCredits).toBe(credits);
  });
});

describe('brakes', () => {
  const succeeds = ended();
  const fails = failed('generation_failed');
  const many = (count: number, record: BatchOutcome): BatchOutcome[] => Array.from({ length: count }, () => record);

  test.each([
    ['nineteen equal failures', many(19, fails), null],
    ['twenty equal failures in a row', many(20, fails), 'EqualFailures'],
    ['a success between them', [...many(10, fails), succeeds, ...many(10, fails)], null],
    ['another failure between them', [...many(10, fails), failed('internal_error'), ...many(10, fails)], null],
    [
      'a cancelled item between them',
      [...many(10, fails), ended({ status: 'cancelled' }), ...many(10, fails)],
      'EqualFailures',
    ],
  ])('%s', (_, records, code) => {
    expect(brake({ progress: after(records) })).toBe(code);
  });

  test('another count of the records, as after another manifest, lifts no hold', () => {
    const progress = batch.progressAtStart(after(many(20, fails)));
    expect(brake({ progress })).toBe('EqualFailures');
    expect(brake({ progress: batch.acceptedSoFar(progress) })).toBe(null);
  });

  test.each([
    ['3', 2, null],
    ['3', 3, 'TooManyFailures'],
    ['0.5%', 4, null],
    ['0.5%', 5, 'TooManyFailures'],
  ])('--max-failures %s with %i failures of 1,000 items', (maxFailures, count, code) => {
    expect(brake({ maxFailures, progress: after(many(count, fails)) })).toBe(code);
  });

  test('a person who resumes accepts the failures so far, and no further ones', () => {
    const progress = batch.acceptedSoFar(after(many(20, fails)));
    expect(brake({ maxFailures: '20', progress })).toBe(null);
    const more = many(20, fails);
    expect(brake({ maxFailures: '20', progress: after(more.slice(1), progress) })).toBe(null);
    expect(brake({ maxFailures: '20', progress: after(more, progress) })).toBe('EqualFailures');
  });

  test.each([
    ['an item that ended costs up to half more', after([ended({ finalCredits: 3 })]), null],
    ['an item that ended costs more than that', after([ended({ finalCredits: 3.1 })]), 'PriceRose'],
    [
      'an item that runs has more reserved',
      batch.withReserved(batch.progressAtStart(), running(1, { reservedCredits: 4 })),
      'PriceRose',
    ],
    ['no estimate is known', after([ended({ priceClass: 1, finalCredits: 400 })]), null],
    ['the price was accepted', batch.acceptedSoFar(after([ended({ finalCredits: 4 })])), null],
    [
      'it rises again',
      after([ended({ finalCredits: 7 })], batch.acceptedSoFar(after([ended({ finalCredits: 4 })]))),
      'PriceRose',
    ],
  ])('price: %s', (_, progress, code) => {
    expect(brake({ progress })).toBe(code);
  });

  test.each([
    [
      'two items are held by a cause that all share',
      running(2, heldFor('insufficient_credits', 1)),
      'insufficient_credits',
    ],
    ['one item is, and another one runs', [...running(1, heldFor('insufficient_credits', 1)), ...running(1)], null],
    ['the only item that runs is', running(1, heldFor('insufficient_credits', 1)), 'insufficient_credits'],
    ['the only item that runs is held by a cause of its own', running(1, heldFor('SubmitUnresolved', 1)), null],
    ['two items are held by causes of their own', running(2, heldFor('SubmitUnresolved', 1)), null],
  ])('%s', (_, runs, code) => {
    expect(brake({ running: runs })).toBe(code);
  });
});

describe('the next look', () => {
  const due = (change: Partial<Parameters<typeof batch.isLookDue>[0]>): boolean =>
    batch.isLookDue({
      before: 50,
      now: 50,
      more: true,
      probing: false,
      maxInFlight: 50,
      changes: 0,
      waitedMs: 10_000,
      ...change,
    });

  test.each([
    ['no slot is free', {}, false],
    ['five slots are free', { now: 45 }, false],
    ['six slots are free', { now: 44 }, true],
    ['a minute has passed', { waitedMs: 60_000 }, true],
    ['much has changed 10 s ago', { changes: 6 }, true],
    ['one of the last items has ended 10 s ago', { before: 2, now: 2, more: false, changes: 1 }, true],
    ['nothing has, of the last items', { before: 2, now: 2, more: false }, false],
    ['little has changed while slots are filled', { changes: 5 }, false],
    ['much has changed 9 s ago', { changes: 50, waitedMs: 9_000 }, false],
    ['the window is smaller than six, and all of it is free', { before: 2, now: 0, maxInFlight: 2 }, true],
    ['the item that teaches a price has ended', { now: 49, probing: true }, true],
    ['the last item has ended', { before: 3, now: 0, more: false }, true],
    ['one of the last items runs', { before: 3, now: 1, more: false }, false],
  ])('%s', (_, change, expected) => {
    expect(due(change)).toBe(expected);
  });

  test('the end is noticed within 10 s', () => {
    for (const waited of [0, 10_000, 59_000]) expect(batch.countEvery(waited)).toBeLessThanOrEqual(5_000);
  });
});

describe('how an item that ended is started again', () => {
  test.each([
    ['a success', ended(), null],
    ['a task past its deadline', failed('DeadlinePassed', { taskStatus: 'processing' }), 'wait'],
    ['a result that is missing', failed('ResultMissing', { taskStatus: 'succeeded' }), 'wait'],
    ['a cancelled wait', ended({ status: 'cancelled', taskStatus: 'queued', error: error('Cancelled') }), 'wait'],
    ['a failed task', failed('generation_failed'), 'buy'],
    ['a failed task with wrong input', failed('validation_failed'), null],
    ['a refused input', failed('validation_failed', { taskId: null, taskStatus: null }), null],
    ['nothing accepted in time', failed('DeadlinePassed', { taskId: null, taskStatus: null }), 'buy'],
    ['a task that may exist', failed('SubmitUnresolved', { taskId: null, taskStatus: null }), null],
  ])('%s', (_, record, kind) => {
    expect(batch.retryKind(record, {})).toBe(kind);
  });

  test('a key of the caller pays once', () => {
    expect(batch.retryKind(failed('generation_failed'), { idempotencyKey: 'mine' })).toBe(null);
  });

  test('a reference that was refused can be mended beside the input', () => {
    const refused = failed('InvalidInput', { taskId: null, taskStatus: null });
    expect(batch.retryKind(refused, {})).toBe(null);
    expect(batch.retryKind(refused, { references: [{ kind: 'image', path: '/media/fox.png' }] })).toBe('buy');
  });

  const notMade = { taskId: null, taskStatus: null };
  const about = { code: 'validation_failed', message: 'No.', action: 'Correct it.' };
  test.each([
    [
      'a task that has not failed',
      failed('DeadlinePassed', { taskStatus: 'processing' }),
      /^Its task has not .*free: /,
    ],
    ['a failed task', failed('generation_failed'), /^For another try, which pays for a new task: /],
    ['an account without credits', failed('insufficient_credits', notMade), /^Add credits to the account, then: /],
    ['nothing accepted in time', failed('DeadlinePassed', notMade), /^To start it again: /],
    ['an input that was refused', failed('validation_failed', { ...notMade, error: about }), /^Correct it\.$/],
  ])('%s: the advice names the command of the batch, and what it costs', (_, record, words) => {
    const advice = itemAdvice(record, { model: 'z-image', prompt: 'a fox' }, 'rivya-temporal batch retry spring');
    expect(advice).toMatch(words);
    expect(advice?.endsWith(': rivya-temporal batch retry spring')).toBe(record.error !== about);
  });
});

test('a record ends an item unless it asks to start it again', () => {
  expect(batch.hasEnded(ended())).toBe(true);
  expect(batch.hasEnded(ended({ retry: 'wait' }))).toBe(false);
  expect(batch.hasEnded(null)).toBe(false);
});

test('codes beyond twenty are counted together', () => {
  const progress = after(Array.from({ length: 30 }, (_, n) => failed(`code_${n}`)));
  expect(Object.keys(progress.failedBy)).toHaveLength(20);
  expect(progress.failedBy['other']).toBe(11);
});

test('the rate is that of the last 10 minutes', () => {
  const progress = after(Array.from({ length: 30 }, () => ended()));
  expect(batch.perMinute(progress, NOW + 3 * 60_000)).toBe(10);
  expect(batch.perMinute(progress, NOW + 20 * 60_000)).toBe(0);
});

const RUNNING = {
  manifest: '',
  settings: SETTINGS,
  phase: 'running',
  counts: { items: 6, succeeded: 0, failed: 0, cancelled: 0, skipped: 0, open: 1, held: 0, failedBy: {}, heldBy: {} },
  spentCredits: 0,
  committedCredits: 0,
  hold: null,
  perMinute: 0,
  startedAt: '',
  simulated: true,
} as const;

test('people see that a batch waits for a price', () => {
  const says = 'waits for the price of cheap';
  expect(describeBatch({ ...RUNNING, pricing: ['cheap'] }, '', NOW)).toContain(says);
  expect(lineOf({ ...RUNNING, pricing: ['cheap'] })).toContain(says);
  expect(describeBatch({ ...RUNNING, pricing: [] }, '', NOW)).not.toContain('price');
});

describe('the time that is left', () => {
  const at = (ms: number): string => new Date(NOW + ms).toISOString();
  const expecting = (from: number, to: number) => ({ expectedEnd: { from: at(from), to: at(to) } });
  const runs = (memo: object): Running => ({ workflowId: 'w', priceClass: 0, memo: memo as Running['memo'] });
  const counts = { ...RUNNING.counts, succeeded: 4, open: 2 };

  test('is what those that run still need, where all have been started and none has ended lately', () => {
    const lastEnd = { from: at(60_000), to: at(120_000) };
    expect(batch.timeLeft({ counts, perMinute: 0, lastEnd }, NOW)).toEqual({ from: 60_000, to: 120_000 });
    expect(describeBatch({ ...RUNNING, counts, lastEnd }, '', NOW)).toContain('| Time left | 1 min to 2 min |');
    // Nothing is known of those that were not started, nor once the expected end has passed.
    expect(batch.timeLeft({ counts: { ...counts, open: 1 }, perMinute: 0, lastEnd }, NOW)).toBeNull();
    expect(batch.timeLeft({ counts, perMinute: 0, lastEnd }, NOW + 200_000)).toBeNull();
  });

  test('is never less than the last of those that run needs, whatever the rate', () => {
    const slow = { from: at(300_000), to: at(600_000) };
    const byRate = batch.timeLeft({ counts, perMinute: 4 }, NOW);
    expect(byRate).toEqual({ from: 24_000, to: 39_000 });
    expect(batch.timeLeft({ counts, perMinute: 4, lastEnd: slow }, NOW)).toEqual({ from: 300_000, to: 600_000 });
    const soon = { from: at(1_000), to: at(2_000) };
    expect(batch.timeLeft({ counts, perMinute: 4, lastEnd: soon }, NOW)).toEqual(byRate);
  });

  test('takes the latest of those that run, and none that is held', () => {
    const ends = [runs({ phase: 'waiting', ...expecting(10, 50) }), runs({ phase: 'waiting', ...expecting(20, 30) })];
    const held = runs({ phase: 'held', ...expecting(900, 999) });
    expect(batch.lastEnd([...ends, held, runs({ phase: 'waiting' })])).toEqual({ from: at(20), to: at(50) });
    expect(batch.lastEnd([held])).toBeNull();
  });
});
