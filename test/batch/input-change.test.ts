import { expect, test } from 'vitest';
import { BatchFiles } from '../../src/batch/files.js';
import {
  changesBetween,
  earlierItems,
  manifestOfSource,
  withAdded,
  withDropped,
} from '../../src/batch/input/change.js';
import { readBatchInput, sourceDigest } from '../../src/batch/input/read.js';
import { MemoryStore } from '../../src/testing/memory-store.js';
import { all, inputFile, model, OPTIONS } from './inputs.js';

const models = [model('z-image', { baseCredits: 3 }), model('sora-2', { baseCredits: 6 })];
const FIRST = 'id,model,prompt,sku\na,z-image,fox,1\nb,z-image,cat,2\n,z-image,owl,3\n,z-image,owl,3\n';

function batch() {
  const files = new BatchFiles(new MemoryStore(), OPTIONS.batchId);
  const read = async (text: string) =>
    readBatchInput(await inputFile(text), { ...OPTIONS, models, earlier: await earlierItems(files) });
  const write = async (text: string) => {
    const { source, about } = await read(text);
    return files.writeManifest(source, about);
  };
  return { files, read, write };
}

test('an edited file shows what is the same, new, changed and gone, and what the difference costs', async () => {
  const { files, read, write } = batch();
  const before = await write(FIRST);
  const edited =
    'id,model,prompt,sku\n,z-image,owl,99\nb,sora-2,cat,2\n,sora-2,elk,4\n,z-image,owl,3\n,z-image,owl,3\n';
  const { source, about } = await read(edited);
  const changes = await changesBetween(files.items(before), source(), about.classes);
  expect(changes).toMatchObject({
    same: { items: 2 },
    new: { items: 2 },
    changed: { items: 1, ids: ['b'] },
    gone: { items: 1, ids: ['a'] },
    estimate: { from: 15, to: 22.5, unpriced: 0 },
  });
});

test('no more than 10 IDs of each kind are shown', async () => {
  const { files, read, write } = batch();
  const before = await write(FIRST);
  const many = await read(`model,prompt\n${Array.from({ length: 30 }, (_, n) => `z-image,elk ${n}\n`).join('')}`);
  const { new: added } = await changesBetween(files.items(before), many.source(), many.about.classes);
  expect(added.items).toBe(30);
  expect(added.ids).toHaveLength(10);
});

test('a content that was edited and then taken back has the Workflow that it had, so it is not paid again', async () => {
  const { files, read, write } = batch();
  await write(FIRST);
  const edited = FIRST.replace('a,z-image,fox', 'a,z-image,elk');
  const second = await write(edited);
  const [changed] = await files.page(second, 0);
  expect(changed?.workflowId).toMatch(/^spring\/a@[0-9a-f]{12}$/);
  const [again] = await all((await read(`${FIRST}c,z-image,hen,4\n`)).source);
  expect(again?.workflowId).toBe('spring/a');
  const [same] = await all((await read(`${edited}c,z-image,hen,4\n`)).source);
  expect(same?.workflowId).toBe(changed?.workflowId);
});

test('the same file, read in the same way, is the same manifest without being read', async () => {
  const { files } = batch();
  const file = await inputFile('model,prompt,params.n\nz-image,fox,5\n');
  const { source, about } = await readBatchInput(file, { ...OPTIONS, models });
  const manifest = await files.writeManifest(source, about);
  // The list of models cannot be reached now, so the type of the param is not known.
  const again = await sourceDigest(file, { ...OPTIONS, models: null });
  expect(await manifestOfSource(files, again)).toEqual(manifest);
  expect(await manifestOfSource(files, 'f'.repeat(64))).toBeNull();
});

test('items are added behind the others and once, and dropped ones are left out', async () => {
  const { files, read, write } = batch();
  const before = await write(FIRST);
  const more = await read('model,prompt,note,id\nsora-2,elk,n,\nz-image,owl,n,\nz-image,fox,n,a\n');
  const added = await withAdded(files, before, more);
  expect(added.items).toBe(5);
  expect(added.about).toMatchObject({
    columns: ['sku', 'note'],
    source: before.source,
    classes: [
      { model: 'z-image', items: 4, estimate: 3 },
      { model: 'sora-2', items: 1, estimate: 6 },
    ],
  });
  const second = await files.writeManifest(added.source, added.about);
  const items = await files.page(second, 0);
  expect(items.slice(0, 4)).toEqual(await files.page(before, 0));
  expect(items[4]).toMatchObject({ input: { prompt: 'elk' }, priceClass: 1, carried: { note: 'n' } });
  // The file of the first manifest stands for what the batch has made of it.
  expect(await manifestOfSource(files, before.source!, second)).toEqual(second);
  expect(await manifestOfSource(files, before.source!)).toEqual(before);

  const other = await read('id,model,prompt\na,z-image,another fox\n');
  await expect(withAdded(files, before, other)).rejects.toThrow(/^id: the batch has "a" with another content/);

  const dropped = await withDropped(files, second, new Set(['a', items[4]!.id]));
  expect((await all(dropped.source)).map(({ id }) => id)).toEqual(['b', items[2]!.id, items[3]!.id]);
  expect(dropped.about.classes).toEqual([{ model: 'z-image', items: 3, estimate: 3 }]);
});
