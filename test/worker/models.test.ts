import { describe, expect, test, vi } from 'vitest';
import { cachedModels } from '../../src/worker/models.js';
import { until } from '../support/until.js';

const MINUTE = 60_000;

/** An API whose first `failures` look-ups fail, on a clock that stands still until it is moved. */
function listing(failures: number, ...models: object[]) {
  const state = { calls: 0, now: 0, models, fails: false };
  const listModels = async (): Promise<never> => {
    state.calls++;
    if (state.fails || state.calls <= failures) throw new Error('down');
    return { models: state.models, whole: true, serverTime: null, simulated: false } as never;
  };
  return { state, models: cachedModels({ listModels }, () => state.now) };
}

describe('the kind of a model', () => {
  test('never delays or fails: it answers null at once and learns behind', async () => {
    const { state, models } = listing(1, { id: 'z-image', kind: 'image' });
    expect(models.kindOf('z-image')).toBeNull();
    // A failed look-up is not repeated with every submit.
    expect(models.kindOf('z-image')).toBeNull();
    expect(state.calls).toBe(1);
    state.now += MINUTE;
    await until(() => models.kindOf('z-image') === 'image');
    expect(state.calls).toBe(2);
    expect(models.kindOf('brand-new')).toBeNull();
    expect(models.kindOf(null)).toBeNull();
  });
});

describe('the starting price of a model', () => {
  test('comes from one call for all who ask at the same time, and is kept for an hour', async () => {
    const { state, models } = listing(0, { id: 'z-image', baseCredits: 1 }, { id: 'free-of-words', baseCredits: null });
    const asked = ['z-image', 'free-of-words'].map((model) => models.basePrice(model));
    expect(await Promise.all(asked)).toEqual([1, null]);
    state.now += 59 * MINUTE;
    expect(await models.basePrice('z-image')).toBe(1);
    expect(state.calls).toBe(1);
    state.models = [{ id: 'z-image', baseCredits: 2 }];
    state.now += MINUTE;
    expect(await models.basePrice('z-image')).toBe(2);
  });

  test('of a model that was added a moment ago is found within a minute', async () => {
    const { state, models } = listing(0, { id: 'z-image', baseCredits: 1 });
    expect(await models.basePrice('brand-new')).toBeNull();
    state.models = [{ id: 'brand-new', baseCredits: 7 }];
    expect(await models.basePrice('brand-new')).toBeNull();
    state.now += MINUTE;
    expect(await models.basePrice('brand-new')).toBe(7);
  });

  test('is never guessed while the API gives no list', async () => {
    const { models } = listing(1, { id: 'z-image', baseCredits: 1 });
    await expect(models.basePrice('z-image')).rejects.toThrow('down');
    expect(await models.basePrice('z-image')).toBe(1);
  });
});

describe('a request that the list proves wrong', () => {
  const asked = (model: string) => ({ paid: 'task', model, paramTypes: {} }) as const;
  const listed = (id: string) => ({ id, category: 'image', apiStatus: null, maxPromptLength: null, params: [] });

  test('is refused; one call serves all who ask, and nobody waits for it again within the hour', async () => {
    const { state, models } = listing(0, listed('z-image'));
    const problems = await Promise.all(['zimage', 'z-image'].map((model) => models.problemOf(asked(model))));
    expect(problems).toMatchObject([{ field: 'model' }, null]);
    state.now += 59 * MINUTE;
    expect(await models.problemOf(asked('z-image'))).toBeNull();
    expect(state.calls).toBe(1);
  });

  test('is judged by a list that is a minute old at most: the model may have been added', async () => {
    const { state, models } = listing(0, listed('z-image'));
    expect(await models.problemOf(asked('brand-new'))).toMatchObject({ field: 'model' });
    state.models = [listed('brand-new')];
    expect(await models.problemOf(asked('brand-new'))).toMatchObject({ field: 'model' });
    state.now += MINUTE;
    expect(await models.problemOf(asked('brand-new'))).toBeNull();
    expect(state.calls).toBe(2);
  });

  test('is not refused while no list can be had, nor by an old one; it is asked for once a minute', async () => {
    const { state, models } = listing(1, listed('z-image'));
    expect(await models.problemOf(asked('zimage'))).toBeNull();
    expect(await models.problemOf(asked('zimage'))).toBeNull();
    expect(state.calls).toBe(1);
    state.now += MINUTE;
    expect(await models.problemOf(asked('zimage'))).toMatchObject({ field: 'model' });
    state.fails = true;
    for (let age = 0; age < 3; age++) {
      state.now += MINUTE;
      expect(await models.problemOf(asked('zimage'))).toBeNull();
      expect(await models.problemOf(asked('zimage'))).toBeNull();
    }
    expect(state.calls).toBe(5);
  });

  test('is not waited for where the list does not come', async () => {
    vi.useFakeTimers();
    try {
      const models = cachedModels({ listModels: () => new Promise<never>(() => undefined) });
      const problem = models.problemOf(asked('zimage'));
      await vi.advanceTimersByTimeAsync(5_000);
      expect(await problem).toBeNull();
    } finally {
      vi.useRealTimers();
    }
  });
});
