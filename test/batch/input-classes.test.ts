import { expect, test } from 'vitest';
import { estimate } from '../../src/batch/input/classes.js';
import { readBatchInput } from '../../src/batch/input/read.js';
import { all, inputFile, model, OPTIONS } from './inputs.js';

const models = [
  model('z-image', { baseCredits: 3 }),
  model('sora-2', { baseCredits: 6 }),
  model('new', { baseCredits: null }),
];

test('one model with the same params is one price class, with its starting price', async () => {
  const lines = [
    { model: 'z-image', prompt: 'a' },
    { model: 'sora-2', prompt: 'a', params: { n: 1, size: 'x' }, repeat: 2 },
    { model: 'z-image', prompt: 'b' },
    { model: 'sora-2', prompt: 'b', params: { size: 'x', n: 1 } },
    { model: 'sora-2', prompt: 'a', params: { n: 2 } },
    { model: 'new', prompt: 'a' },
  ];
  const file = await inputFile(lines.map((line) => JSON.stringify(line)).join('\n'));
  const { about, source } = await readBatchInput(file, { ...OPTIONS, models });
  expect(about.classes).toEqual([
    { model: 'z-image', items: 2, estimate: 3 },
    { model: 'sora-2', items: 3, estimate: 6 },
    { model: 'sora-2', items: 1, estimate: 6 },
    { model: 'new', items: 1, estimate: null },
  ]);
  expect((await all(source)).map(({ priceClass }) => priceClass)).toEqual([0, 1, 1, 0, 1, 2, 3]);
  expect(estimate(about.classes)).toEqual({ from: 30, to: 45, unpriced: 1 });
});

test('the estimate ranges to all attempts that the items of a model may pay for', async () => {
  const lines = [
    { model: 'z-image', prompt: 'a' },
    { model: 'z-image', prompt: 'b' },
  ];
  const file = await inputFile(lines.map((line) => JSON.stringify(line)).join('\n'));
  const defaults = { options: { maxAttempts: 3 } };
  const { about } = await readBatchInput(file, { ...OPTIONS, models, defaults });
  expect(about.classes).toEqual([{ model: 'z-image', items: 2, estimate: 3, attempts: 3 }]);
  expect(estimate(about.classes)).toEqual({ from: 6, to: 27, unpriced: 0 });
});

test('a model whose params vary a lot is one class', async () => {
  const lines = Array.from({ length: 201 }, (_, seed) => ({ model: 'z-image', prompt: 'a', params: { seed } }));
  const file = await inputFile(
    [{ model: 'sora-2', prompt: 'a' }, ...lines].map((line) => JSON.stringify(line)).join('\n'),
  );
  const { about, source } = await readBatchInput(file, { ...OPTIONS, models: null });
  expect(about.classes).toEqual([
    { model: 'sora-2', items: 1, estimate: null },
    { model: 'z-image', items: 201, estimate: null },
  ]);
  expect(new Set((await all(source)).map(({ priceClass }) => priceClass))).toEqual(new Set([0, 1]));
  expect(estimate(about.classes)).toEqual({ from: 0, to: 0, unpriced: 202 });
});
