import { describe, expect, test } from 'vitest';
import { MemoryStore } from '../../src/testing/memory-store.js';
import type { TaskLike } from '../../src/policy/index.js';
import { LearnedDurations, MOST_SETS } from '../../src/worker/learned.js';

const SECOND = 1_000;
const FILE = '.rivya/durations/api.example.com.json';
const AT_START = { ageMs: 0, first: true, saturated: false };

function learner(store: MemoryStore | null = null) {
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  return { durations: new LearnedDurations({ store, baseUrl: 'https://api.example.com', price: 1, warn }), warnings };
}

const task = (model: string, likeness = 'a'): TaskLike => ({ model, kind: 'video', likeness });
function note(durations: LearnedDurations, like: TaskLike, seconds: number, times: number): void {
  for (let n = 0; n < times; n++) durations.note(like, { fromMs: seconds * SECOND, toMs: seconds * SECOND });
}

/** A store that takes nothing until it has room. */
class FullStore extends MemoryStore {
  full = true;
  override async write(name: string, text: string): Promise<void> {
    if (this.full) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    await super.write(name, text);
  }
}

/** Seconds within which half of such tasks are expected to end, as a place among others: 17 % are nothing. */
const expected = (durations: LearnedDurations, like: TaskLike): number | null => {
  const ms = durations.expect(like, AT_START)?.p50Ms;
  return ms === undefined ? null : ms / SECOND;
};

describe('what is known of a task', () => {
  test('is nothing at first', () => {
    expect(learner().durations.expect(task('veo'), AT_START)).toBeNull();
  });

  test('comes from tasks with like params, else from those of the model, else of the kind', () => {
    const { durations } = learner();
    note(durations, task('veo', 'short'), 60, 30);
    note(durations, task('veo', 'long'), 300, 30);
    expect(expected(durations, task('veo', 'short'))).toBeLessThan(75);
    expect(expected(durations, task('veo', 'long'))).toBeGreaterThan(250);
    // Of the model: the last 40, of which 30 were long.
    expect(durations.expect(task('veo', 'other'), AT_START)).toMatchObject({ runs: 40 });
    expect(expected(durations, task('veo', 'other'))).toBeGreaterThan(250);
    // A few with the same params say more than many with others.
    note(durations, task('veo', 'tiny'), 20, 5);
    expect(expected(durations, task('veo', 'tiny'))).toBeLessThan(25);
    expect(durations.expect(task('veo', 'tiny'), AT_START)).toMatchObject({ runs: 5 });
    // Other models say little: no gap is long.
    expect(durations.expect(task('new'), AT_START)!.runs).toBeLessThan(20);
    expect(
      durations.expect(task('new'), { ageMs: 20 * SECOND, first: false, saturated: false })!.checkInMs,
    ).toBeLessThanOrEqual(10 * SECOND);
    expect(durations.expect({ ...task('new'), kind: null }, AT_START)).toBeNull();
  });

  test('stays small: 10,000 sets of params keep no more than those that were used last', () => {
    const { durations } = learner();
    for (let n = 0; n < 10_000; n++) {
      note(durations, task('veo', `params ${n}`), 60, 1);
      if (n % 100 === 0) note(durations, task('veo', 'usual'), 300, 1);
    }
    expect(durations.size).toBe(MOST_SETS);
    expect(expected(durations, task('veo', 'usual'))).toBeGreaterThan(250);
  });
});

describe('the file in the store', () => {
  test('brings what was learned to the next process, and Workers that share it learn from each other', async () => {
    const store = new MemoryStore();
    const [first, second] = [learner(store).durations, learner(store).durations];
    note(first, task('veo'), 60, 10);
    note(second, task('veo'), 60, 15);
    await first.save();
    await second.save();
    await first.save();
    const { durations } = learner(store);
    await durations.save();
    for (const known of [first, second, durations]) {
      expect(known.expect(task('veo'), AT_START)).toMatchObject({ runs: 25 });
    }
  });

  test('counts nothing twice, however often it is saved', async () => {
    const { durations } = learner(new MemoryStore());
    note(durations, task('veo'), 60, 7);
    for (let n = 0; n < 5; n++) await durations.save();
    expect(durations.expect(task('veo'), AT_START)).toMatchObject({ runs: 7 });
  });

  test.each([
    ['a cut one', '{"version": 1, "sets": {"model:veo": [1, 2'],
    ['one of another program', '{"hello": "world"}'],
    ['one of a later version', '{"version": 2, "sets": {}}'],
    ['one with fewer counters', '{"version": 1, "sets": {"model:veo": [1, 2]}}'],
    ['one with counts below nothing', `{"version": 1, "sets": {"model:veo": [${'-1,'.repeat(63)}-1]}}`],
  ])('%s is put aside with one warning, and learning starts anew', async (_, text) => {
    const store = new MemoryStore();
    await store.write(FILE, text);
    const { durations, warnings } = learner(store);
    await durations.save();
    note(durations, task('veo'), 60, 5);
    await durations.save();
    await durations.save();
    expect(warnings).toEqual([expect.stringContaining('put aside')]);
    const names = await store.list('.rivya/durations');
    const aside = names.find((name) => name.includes('unread'));
    expect(await store.read(`.rivya/durations/${aside}`)).toBe(text);
    const next = learner(store);
    await next.durations.save();
    expect(next.durations.expect(task('veo'), AT_START)).toMatchObject({ runs: 5 });
    expect(next.warnings).toEqual([]);
  });

  test('a store that fails stops nothing and loses nothing', async () => {
    const store = new FullStore();
    const { durations, warnings } = learner(store);
    note(durations, task('veo'), 60, 5);
    await durations.save();
    expect(durations.expect(task('veo'), AT_START)).toMatchObject({ runs: 5 });
    expect(warnings).toEqual([expect.stringContaining('ENOSPC')]);
    store.full = false;
    note(durations, task('veo'), 60, 5);
    await durations.save();
    const next = learner(store).durations;
    await next.save();
    expect(next.expect(task('veo'), AT_START)).toMatchObject({ runs: 10 });
  });
});
