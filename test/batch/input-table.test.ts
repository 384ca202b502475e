import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { SourceChanged } from '../../src/batch/files.js';
import type { BatchInputError } from '../../src/batch/input/problems.js';
import { readBatchInput } from '../../src/batch/input/read.js';
import type { ListedParam } from '../../src/contract/index.js';
import { judge } from '../../src/cli/errors.js';
import { inputFile, itemsOf, model, OPTIONS, problemsOf } from './inputs.js';

describe('the delimiter is found out', () => {
  test.each([
    ['comma', 'model,prompt\nz-image,"a, b; c"'],
    ['semicolon', 'model;prompt\nz-image;"a, b; c"'],
    ['tab', 'model\tprompt\nz-image\t"a, b; c"'],
    ['bar', 'model|prompt\nz-image|a, b; c'],
    ['JSON lines', '{"model":"z-image","prompt":"a, b; c"}'],
  ])('%s', async (_, text) => {
    expect((await itemsOf(text)).map(({ input }) => input)).toEqual([{ model: 'z-image', prompt: 'a, b; c' }]);
  });
  test('a table of one column needs no quotes', async () => {
    const items = await itemsOf('prompt\na, b; c\n', { defaults: { model: 'z-image' } });
    expect(items[0]?.input.prompt).toBe('a, b; c');
  });
});

test('a column has its meaning, an unknown one is carried, an empty cell is left out', async () => {
  const table = [
    'id,model,prompt,params.size,params.duration:number,params.sound:boolean,params.extra:json,label.shop,sku,note,repeat',
    'fox-1,sora-2,a fox,1:1,5,TRUE,"[1,{""a"":null}]",north,0012,,',
    ' ,sora-2,"two\r\nlines",,,,,,,=1+1,2',
  ].join('\r\n');
  const { source, about, items } = await readBatchInput(await inputFile(table), OPTIONS);
  const read = [];
  for await (const item of source()) read.push(item);
  expect(items).toBe(3);
  expect(about.columns).toEqual(['sku', 'note']);
  expect(read[0]).toEqual({
    id: 'fox-1',
    variant: 1,
    workflowId: 'spring/fox-1',
    input: {
      model: 'sora-2',
      prompt: 'a fox',
      params: { size: '1:1', duration: 5, sound: true, extra: [1, { a: null }] },
      labels: { shop: 'north' },
    },
    digest: expect.stringMatching(/^[0-9a-f]{40}$/),
    priceClass: 0,
    carried: { sku: '0012', note: '' },
  });
  expect(read[1]?.input).toEqual({ model: 'sora-2', prompt: 'two\nlines' });
  expect(read[1]?.carried).toEqual({ sku: '', note: '=1+1' });
  expect(read.map(({ priceClass }) => priceClass)).toEqual([0, 1, 1]);
});

test('rows whose cells are all empty, as spreadsheets write them, are left out', async () => {
  const items = await itemsOf('model,prompt,sku\nz-image,fox,1\n,,\n" ",,\nz-image,owl,2\n,,\n');
  expect(items.map(({ input }) => input.prompt)).toEqual(['fox', 'owl']);
  expect(await problemsOf('model,prompt,sku\n,,\n,,\nz-image,,3\n,,7\n')).toEqual([
    expect.stringMatching(/^4: prompt/),
    expect.stringMatching(/^5: model/),
  ]);
});

test('a JSON line has the same fields, and its other keys are carried as texts', async () => {
  const line = {
    id: 7,
    model: 'sora-2',
    params: { n: 5 },
    labels: { a: 'b' },
    repeat: 2,
    sku: 12,
    more: { x: 1 },
    no: null,
  };
  const items = await itemsOf(`\n${JSON.stringify(line)}\n`);
  expect(items.map(({ id }) => id)).toEqual(['7', '7-2']);
  expect(items[0]?.input).toEqual({ model: 'sora-2', params: { n: 5 }, labels: { a: 'b' } });
  expect(items[0]?.carried).toEqual({ sku: '12', more: '{"x":1}' });
});

test('a default stands in for what a line leaves out; params and labels are merged', async () => {
  const defaults = {
    model: 'sora-2',
    prompt: 'a fox',
    params: { size: '1:1', n: 1 },
    labels: { a: '1' },
    options: { maxAttempts: 2 },
    repeat: 2,
  };
  const [first, second, third] = await itemsOf('prompt,params.size,label.b\n,,3\na cat,16:9,2\n', { defaults });
  expect(first?.input).toEqual({
    model: 'sora-2',
    prompt: 'a fox',
    params: { size: '1:1', n: 1 },
    labels: { a: '1', b: '3' },
    options: { maxAttempts: 2 },
  });
  expect(second?.variant).toBe(2);
  expect(third?.input).toMatchObject({ prompt: 'a cat', params: { size: '16:9', n: 1 }, labels: { a: '1', b: '2' } });
});

describe('references', () => {
  test('a path starts at the input file, and a URL stays', async () => {
    const file = await inputFile(
      '{"model":"sora-2","references":["fox.png","audio:fox.png",{"path":"./fox.png","kind":"image"},"https://a.example/b.mp4?c"]}',
      'in.jsonl',
    );
    const fox = file.replace('in.jsonl', 'fox.png');
    await writeFile(fox, '');
    const { source } = await readBatchInput(file, OPTIONS);
    for await (const { input } of source()) {
      expect(input.references).toEqual([
        { path: fox, kind: 'image' },
        { path: fox, kind: 'audio' },
        { path: fox, kind: 'image' },
        { url: 'https://a.example/b.mp4?c', kind: 'video' },
      ]);
    }
  });
  test('several columns are several references, in their order', async () => {
    const table = 'model,prompt,reference.start,reference.end\nsora-2,x,/in/a.png,\nsora-2,x,/in/a.png,s3://b/c.webm\n';
    const items = await itemsOf(table);
    expect(items.map(({ input }) => input.references)).toEqual([
      [{ path: '/in/a.png', kind: 'image' }],
      [
        { path: '/in/a.png', kind: 'image' },
        { uri: 's3://b/c.webm', kind: 'video' },
      ],
    ]);
  });
});

describe('what is wrong is named with its line, before anything is paid', () => {
  const models = [
    model('z-image', { maxPromptLength: 5 }),
    model('gpt', { category: 'chat', kind: null }),
    model('soon', { apiStatus: 'coming_soon' }),
  ];
  test.each([
    ['a column twice', 'model,prompt,prompt\n', /^1: the column prompt is there twice/],
    ['a param twice', 'model,params.n:number,params.n:text\n', /^1: the column params.n is there twice/],
    ['a key twice', '{"model":"a","prompt":"x","prompt":"y"}', /^1: prompt: stands twice/],
    ['no model', 'prompt\nx\n', /^1: there is no column model.*--model/],
    ['no header', 'A red fox\nA blue fox\n', /^1: names no column that a batch reads/],
    ['an unknown type', 'model,params.n:float\n', /^1: params.n:float: has no known type; write :text, :number/],
    ['a misspelt column', 'model,Prompt\n', /^1: Prompt: is not read; write prompt/],
    ['a column of the other form', 'model,references\n', /^1: references: is not read; write reference/],
    [
      'a key of the other form',
      '{"model":"a","prompt":"x","reference":"b"}',
      /^1: reference: is not read; write references/,
    ],
    ['another field of a generation', 'model,taskId\n', /^1: taskId: belongs to single generations/],
    ['a row with too many cells', 'model,prompt\nz-image,a, b\n', /^2: The row: has 3 cells, and the first line has 2/],
    ['a row with too few cells', 'model,prompt\nz-image\n', /^2: The row: has 1 cell,/],
    ['a value without a column', 'model,,prompt\na,b,c\n', /^2: Column 2: has a value and no name/],
    [
      'a quote inside of a cell',
      'model,prompt\na,b\nz-image,a 12" screen\n',
      /^3: a quote stands inside of a cell.*""/,
    ],
    ['text behind a quote', 'model,prompt\nz-image,"a" b\n', /^2: a cell goes on behind its closing quote/],
    ['an open quote', 'model,prompt\nz-image,a\nz-image,"a\nz-image,b\n', /^3: a quote is not closed/],
    ['no JSON', '{"model":"a","prompt":"x"}\n{"model":\n', /^2: is not JSON/],
    ['no object', '{"model":"a","prompt":"x"}\n7\n', /^2: must be a JSON object/],
    [
      'a number that JSON cannot carry',
      '{"model":"a","params":{"n":[12345678901234567890]}}',
      /^1: params.n\[0\]: 12345678901234567890 is/,
    ],
    ['a wrong number', 'model,params.n:number\na,5s\n', /^2: params.n: "5s" is no number/],
    ['a wrong boolean', 'model,params.n:boolean\na,yes\n', /^2: params.n: "yes" is neither true nor false/],
    [
      'a type that cannot be known',
      'model,params.n\na,5\n',
      /^2: params.n: "5" may be a number or a text.*params.n:text or :number/,
    ],
    ['an ID with a slash', 'id,model,prompt\na/b,z-image,x\n', /^2: id: must be 1 to 100 characters/],
    [
      'an ID that is too long',
      `id,model,prompt\n${'x'.repeat(101)},z-image,x\n`,
      /^2: id: must be 1 to 100 characters/,
    ],
    ['a wrong repeat', 'model,prompt,repeat\na,x,0\n', /^2: repeat: must be a whole number from 1 to 1000/],
    ['a repeat that is no number', 'model,prompt,repeat\na,x,two\n', /^2: repeat: must be a whole number/],
    ['nothing to make', 'model,prompt\na,\n', /^2: prompt: is missing/],
    ['a reference without a kind', 'model,reference\na,b.xyz\n', /^2: references\[0\]: there is no file .*b.xyz/],
    ['a URL without a kind', 'model,reference\na,https://a.example/b\n', /^2: references\[0\]: ".*" has no ending/],
    [
      'a request that is too large',
      `model,prompt\na,${'x'.repeat(1_000_001)}\n`,
      /^2: prompt: makes a request of more than 1 MB/,
    ],
  ])('%s', async (_, text, problem) => {
    expect(await problemsOf(text)).toEqual([expect.stringMatching(problem)]);
  });

  test('by the list of models, where it can be had', async () => {
    const table = 'model,prompt\nz-image,a fox\ngpt,x\nsoon,x\nother,x\nz-image,fox🦊!\n';
    expect(await problemsOf(table, { models })).toEqual([
      expect.stringMatching(/^3: model: "gpt" answers chats/),
      expect.stringMatching(/^4: model: "soon" cannot be called by the API \(coming_soon\)/),
      expect.stringMatching(/^5: model: the list of models has no "other"/),
    ]);
    expect(await problemsOf('model,prompt\nz-image,red fox\n', { models })).toEqual([
      expect.stringMatching(/^2: prompt: has 7 characters, and "z-image" takes 5/),
    ]);
    expect((await itemsOf('model,params.n\nz-image,5\n', { models }))[0]?.input.params).toEqual({ n: '5' });
  });

  test('items that are too large to be read together', async () => {
    const line = (length: number): string => `z-image,${'x'.repeat(length)},100\n`;
    const table = `model,prompt,repeat\n${line(9)}${line(400_000)}${line(400_000)}`;
    expect(await problemsOf(table)).toEqual([expect.stringMatching(/^4: with this line, .* more than 64 MB/)]);
    expect(await itemsOf(`model,prompt,repeat\n${line(600_000)}`)).toHaveLength(100);
  });

  test('a list that has only a part of the models refuses none for its absence', async () => {
    const table = 'model,prompt\nother,x\ngpt,x\n';
    expect(await problemsOf(table, { models, whole: false })).toEqual([
      expect.stringMatching(/^3: model: "gpt" answers chats/),
    ]);
  });

  test('a param has the type that the list publishes for its model, and a type in its name counts more', async () => {
    const param = (name: string, type: string, options: ListedParam['options'] = null): ListedParam => {
      return { name, type, options, required: null, default: null, min: null, max: null };
    };
    const listed = [
      model('grok', { params: [param('n', 'number'), param('on', 'select', [true, false])] }),
      model('runway', { params: [param('n', 'select', ['5', '10']), param('on', 'select')] }),
    ];
    const table = 'model,prompt,params.n,params.on\ngrok,x,5,TRUE\nrunway,x,5,TRUE\n';
    expect((await itemsOf(table, { models: listed })).map(({ input }) => input.params)).toEqual([
      { n: 5, on: true },
      { n: '5', on: 'TRUE' },
    ]);
    expect(await problemsOf('model,prompt,params.n\ngrok,x,5s\n', { models: listed })).toEqual([
      expect.stringMatching(/^2: params.n: "5s" is no number/),
    ]);
    expect(await problemsOf('model,prompt,params.n:text,params.m\ngrok,x,5,\ngrok,x,,1\n', { models: listed })).toEqual(
      [
        expect.stringMatching(/^2: params.n: must be a number/),
        expect.stringMatching(/^3: params.m: is no parameter of "grok"/),
      ],
    );
  });

  test('a number is not sent as a text where the list publishes no params of its model', async () => {
    const table = 'model,prompt,params.n\ngrok,x,5\n';
    for (const about of [{ models: [model('grok', { params: null })] }, { models: [], whole: false }]) {
      expect(await problemsOf(table, about)).toEqual([
        expect.stringMatching(/^2: params.n: "5" may be a number or a text/),
      ]);
    }
    const typed = await itemsOf('model,prompt,params.n:number\ngrok,x,5\n', {
      models: [model('grok', { params: null })],
    });
    expect(typed[0]!.input.params).toEqual({ n: 5 });
  });

  test('all wrong lines are counted, and the first 50 are listed', async () => {
    const file = await inputFile(`id,model,prompt\n${'a/b,z-image,x\n'.repeat(1_000)}`);
    const error = await readBatchInput(file, OPTIONS).catch((thrown: unknown) => thrown as BatchInputError);
    expect(error).toMatchObject({ name: 'BatchInputError', count: 1_000 });
    expect((error as BatchInputError).problems).toHaveLength(50);
    expect((error as BatchInputError).message).toMatch(
      /^There are 1000 problems in .*Nothing was started and nothing was paid/,
    );
    expect((error as BatchInputError).message).toMatch(/line 51: id: .*\n {2}and 950 more$/);
  });

  test('the exit status is 2', async () => {
    const error = await readBatchInput('/nowhere/in.csv', OPTIONS).catch((thrown: unknown) => thrown);
    expect(judge(error)).toMatchObject({ status: 2, code: 'BatchInputError' });
    expect(judge(new SourceChanged('The file has changed.'))).toMatchObject({ status: 2, code: 'SourceChanged' });
  });

  test('a file that is not there', async () => {
    await expect(readBatchInput('/nowhere/in.csv', OPTIONS)).rejects.toThrow(/cannot be read \(ENOENT\)/);
    await expect(readBatchInput('/', OPTIONS)).rejects.toThrow(/no regular file/);
  });
});

describe('a line of 1 MB is read, one of 5 MB is refused by its number', () => {
  const line = (size: number, form: 'csv' | 'json'): string => {
    const text = 'x'.repeat(size);
    return form === 'csv'
      ? `model,prompt,note\nz-image,a,b\nz-image,a,${text}\n`
      : `{"model":"z-image","prompt":"a"}\n{"model":"z-image","prompt":"a","note":"${text}"}\n`;
  };
  test.each(['csv', 'json'] as const)('%s', async (form) => {
    const items = await itemsOf(line(1_048_576, form));
    expect(items.map(({ carried }) => carried['note']?.length ?? 0)).toEqual([form === 'csv' ? 1 : 0, 1_048_576]);
    const at = form === 'csv' ? 3 : 2;
    expect(await problemsOf(line(5_000_000, form))).toEqual([expect.stringMatching(`^${at}: is longer than 2 MB`)]);
  });
  test('a quote that is never closed is not read to the end of the file', async () => {
    const table = `model,prompt\nz-image,"a\n${'z-image,b\n'.repeat(400_000)}`;
    expect(await problemsOf(table)).toEqual([
      expect.stringMatching(/^2: is longer than 2 MB, or a quote in it is not closed/),
    ]);
  });
});
