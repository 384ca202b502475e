import { readFileSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readBatchInput, sourceDigest } from '../../src/batch/input/read.js';
import { identityOf, readInput } from '../../src/policy/index.js';
import { all, inputFile, itemsOf, OPTIONS, problemsOf } from './inputs.js';

interface Golden {
  readonly line: object;
  readonly ids: readonly string[];
}
const golden = JSON.parse(readFileSync(new URL('../golden/batch-ids.json', import.meta.url), 'utf8')) as Golden[];

test.each(golden)('the same content has the same IDs in every release: $ids', async ({ line, ids }) => {
  expect((await itemsOf(JSON.stringify(line))).map(({ id }) => id)).toEqual(ids);
});

test('the digest of an item is the one by which a start tells inputs apart', async () => {
  const [item] = await itemsOf('model,prompt,label.a,sku\nz-image,a fox,b,1\n');
  expect(item?.digest).toBe(identityOf(readInput(item?.input)).digest);
});

test('moving, adding or editing other lines changes no ID', async () => {
  const words = fc.array(fc.constantFrom('fox', 'cat', 'owl', 'Ünicorn', 'a, "b"'), { minLength: 1, maxLength: 8 });
  const idsOf = async (prompts: readonly string[]) => {
    const lines = prompts.map((prompt) => JSON.stringify({ model: 'z-image', prompt }));
    return (await itemsOf(lines.join('\n'))).map(({ id }) => id);
  };
  await fc.assert(
    fc.asyncProperty(words, words, async (before, added) => {
      const ids = await idsOf(before);
      expect(new Set(ids).size).toBe(before.length);
      expect((await idsOf(before.toReversed())).toSorted()).toEqual(ids.toSorted());
      expect(await idsOf([...added, ...before])).toEqual(expect.arrayContaining(ids));
    }),
    { numRuns: 20 },
  );
});

test('labels, carried columns and options of a line do not count', async () => {
  const [a] = await itemsOf('model,prompt\nz-image,a fox\n');
  const [b] = await itemsOf('sku,prompt,label.x,model\n7,a fox,y,z-image\n', {
    defaults: { options: { maxAttempts: 2 } },
  });
  expect(b?.id).toBe(a?.id);
});

test('four equal lines are four variants, and so is one that is repeated', async () => {
  const four = await itemsOf(`model,prompt\n${'z-image,a fox\n'.repeat(4)}`);
  expect(four.map(({ variant }) => variant)).toEqual([1, 2, 3, 4]);
  expect(new Set(four.map(({ workflowId }) => workflowId)).size).toBe(4);
  const repeated = await itemsOf('model,prompt,repeat\nz-image,a fox,4\n');
  expect(repeated.map(({ id }) => id)).toEqual(four.map(({ id }) => id));
  const given = await itemsOf('id,model,prompt,repeat\nf,z-image,a,2\nf,z-image,a,\n');
  expect(given.map(({ id }) => id)).toEqual(['f', 'f-2', 'f-3']);
});

describe('an ID stands for one item', () => {
  test.each([
    ['two contents', 'f,z-image,a,\nf,z-image,b,\n', '3: id: "f" is also on line 2, with another content.'],
    [
      'a variant and a given ID',
      'f,z-image,a,2\nf-2,z-image,a,\n',
      '3: id: "f-2" is also a variant of the item on line 2.',
    ],
    [
      'a given ID and a variant',
      'f-2,z-image,a,\nf,z-image,a,2\n',
      '3: id: variant 2 of "f" has the ID of the item on line 2.',
    ],
    [
      'a variant that is too long',
      `${'x'.repeat(99)},z-image,a,2\n`,
      `2: id: "${'x'.repeat(99)}-2" is longer than 100 characters.`,
    ],
  ])('%s', async (_, rows, problem) => {
    expect(await problemsOf(`id,model,prompt,repeat\n${rows}`)).toEqual([problem]);
  });
});

test('another content under an ID that the batch has had gets a Workflow of its own; the first content keeps the first one', async () => {
  const [before] = await itemsOf('id,model,prompt\nf,z-image,a\n');
  const earlier = new Map([['f', before!.digest]]);
  const [same] = await itemsOf('id,model,prompt\nf,z-image,a\n', { earlier });
  const [changed] = await itemsOf('id,model,prompt\nf,z-image,b\n', { earlier });
  expect(same?.workflowId).toBe('spring/f');
  expect(changed?.workflowId).toBe(`spring/f@${changed?.digest.slice(0, 12)}`);
});

describe('a file that changes while it is read is refused', () => {
  const first = 'model,prompt\nz-image,a fox\nz-image,a cat\n';
  test.each([
    ['another prompt', first.replace('cat', 'dog')],
    ['another carried value', first.replace('a cat', 'a cat ')],
    ['a line more', `${first}z-image,an owl\n`],
    ['a line less', first.replace('z-image,a cat\n', '')],
    ['a line that is wrong', `${first}z-image,\n`],
    ['no text', '\0'],
  ])('%s', async (_, second) => {
    const file = await inputFile(first);
    const { source } = await readBatchInput(file, OPTIONS);
    await writeFile(file, second);
    await expect(all(source)).rejects.toMatchObject({ name: 'SourceChanged' });
  });
});

test('the digest of the source changes with the file and with everything that decides what it means', async () => {
  const file = await inputFile('model,prompt\nz-image,a fox\n');
  const { about } = await readBatchInput(file, OPTIONS);
  expect(await sourceDigest(file, OPTIONS)).toBe(about.source);
  expect(await sourceDigest(file, { ...OPTIONS, models: [] })).toBe(about.source);
  const other = [{ batchId: 'autumn' }, { defaults: { model: 'x' } }, { encoding: 'utf-8' }, { api: 'rivya.ai' }];
  for (const change of other) expect(await sourceDigest(file, { ...OPTIONS, ...change })).not.toBe(about.source);
  await appendFile(file, 'z-image,a cat\n');
  expect(await sourceDigest(file, OPTIONS)).not.toBe(about.source);
});
