import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { download, namesBy } from '../../src/batch/download.js';
import { checkNames, readTemplate } from '../../src/batch/input/names.js';
import { readBatchInput } from '../../src/batch/input/read.js';
import { rowsOf } from '../../src/batch/results.js';
import { checkName } from '../../src/storage/names.js';
import type { BatchItem } from '../../src/contract/batch.js';
import { all, inputFile, itemsOf, OPTIONS } from './inputs.js';
import { madeBatch } from './made.js';

const COLUMNS = ['sku', 'note'];

async function itemWith(sku: string, more: object = {}): Promise<BatchItem> {
  return (await itemsOf(JSON.stringify({ id: 'fox', model: 'z-image', prompt: 'A red fox', sku, ...more })))[0]!;
}

test('a template is filled with columns, own and carried', async () => {
  const item = await itemWith('AB 12/x', { labels: { shop: 'north' }, params: { size: '1:1', n: 5 } });
  const template = '{label.shop}/{model}/{sku}-{n} {params.size}_{params.n}.{id}';
  expect(readTemplate(template, COLUMNS).nameOf(item, 1)).toBe('north/z-image/AB 12-x-1 1-1_5.fox');
});

test.each([
  ['../../etc/passwd', 'etc-passwd'],
  ['a\0b\\c:d|e"f', 'a-b-c-d-e-f'],
  ['CON', '_CON'],
  ['nul.txt', '_nul.txt'],
  ['.hidden. ', 'hidden'],
  ['-rf', 'rf'],
  ['Füchsé 狐', 'Füchsé 狐'],
  ['a~2', 'a-2'],
  ['x'.repeat(500), 'x'.repeat(90)],
  ['狐'.repeat(500), '狐'.repeat(30)],
])('every file system takes the name of %s', async (sku, name) => {
  expect(checkName(readTemplate('{sku}', COLUMNS).nameOf(await itemWith(sku), 1))).toBe(name);
});

test('the second file of an item has a name that no other item can have', async () => {
  const template = readTemplate('{sku}', COLUMNS);
  expect(template.nameOf(await itemWith('a'), 2)).toBe('a~2');
  expect(template.nameOf(await itemWith('a~2'), 1)).toBe('a-2');
});

test('downloads have the names of the template, and the store keeps its own', async () => {
  const png = Buffer.from('fox');
  const made = await madeBatch(
    [
      { id: 'fox', carried: { sku: 'K1' }, results: { png, mp4: png } },
      { id: 'owl', carried: { sku: 'K2' }, results: { png } },
    ],
    { columns: ['sku'] },
  );
  const directory = path.join(made.directory, 'here');
  const nameOf = namesBy(readTemplate('{model}/{sku}', ['sku']));
  const options = { directory, nameOf, signal: new AbortController().signal };
  for await (const { outcome } of download(made.store, 'spring', rowsOf(made.files, made.manifest), options)) {
    expect(outcome).toBe('copied');
  }
  expect((await readdir(path.join(directory, 'z-image'))).toSorted()).toEqual(['K1.png', 'K1~2.mp4', 'K2.png']);
  expect(await readdir(path.join(made.directory, 'spring'))).toEqual(expect.arrayContaining(['fox', 'owl']));
});

describe('a template that is wrong is refused before anything is paid', () => {
  test.each([
    [
      '{sku}-{size}',
      /^--name: there is no column \{size\}; there are \{id\}, \{n\}, \{model\}, \{prompt\}, \{sku\}, \{note\}/,
    ],
    ['{sku', /^--name: "\{sku" may hold letters/],
    ['a:b', /^--name: "a:b" may hold/],
  ])('%s', (template, problem) => expect(() => readTemplate(template, COLUMNS)).toThrow(problem));

  const check = async (template: string, table: string): Promise<void> => {
    const { source, about } = await readBatchInput(await inputFile(table), OPTIONS);
    await checkNames(readTemplate(template, about.columns), source());
  };
  test.each([
    ['two items', '{sku}', 'id,model,prompt,sku\na,z,x,K1\nb,z,y,K1\n', /gives items a and b the same name, "K1"/],
    ['capitals', '{sku}-{n}', 'id,model,prompt,sku\na,z,x,k1\nb,z,y,K1\n', /gives items a and b the same name/],
    ['signs', '{sku}', 'id,model,prompt,sku\na,z,x,k/1\nb,z,y,k:1\n', /gives items a and b the same name, "k-1"/],
    ['variants', '{sku}', 'id,model,prompt,sku,repeat\na,z,x,k,2\n', /gives items a and a-2 the same name.*add \{n\}/],
    ['no value', '{sku}-{n}', 'id,model,prompt,sku\na,z,x,\n', /\{sku\} is empty in item a/],
    ['no name', '{sku}/ ', 'id,model,prompt,sku\na,z,x,k\n', /a name that is empty or too long/],
  ])('%s', async (_, template, table, problem) => await expect(check(template, table)).rejects.toThrow(problem));

  test('variants have names of their own by {n}', async () => {
    const table = 'model,prompt,sku,repeat\nz,x,K1,3\n';
    await check('{sku}-{n}', table);
    const items = await all((await readBatchInput(await inputFile(table), OPTIONS)).source);
    const template = readTemplate('{sku}-{n}', ['sku']);
    expect(items.map((item) => template.nameOf(item, 1))).toEqual(['K1-1', 'K1-2', 'K1-3']);
  });
});
