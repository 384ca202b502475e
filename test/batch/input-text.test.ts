import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, encodingOf } from '../../src/batch/input/text.js';
import { itemsOf, problemsOf } from './inputs.js';

const TABLE = 'model,prompt\nz-image,Füchse im Schnee\nz-image,a “red” fox\n';
const PROMPTS = ['Füchse im Schnee', 'a “red” fox'];

function utf16(text: string, big: boolean, mark: boolean): Buffer {
  const bytes = Buffer.from(`${mark ? '\ufeff' : ''}${text}`, 'utf16le');
  return big ? bytes.swap16() : bytes;
}
const windows = Buffer.from(TABLE.replaceAll('“', '\u0093').replaceAll('”', '\u0094'), 'latin1');

describe('the same items come out of every encoding that spreadsheets write', () => {
  test.each([
    ['UTF-8', Buffer.from(TABLE)],
    ['UTF-8 with its mark', Buffer.from(`\ufeff${TABLE}`)],
    ['UTF-16 LE', utf16(TABLE, false, true)],
    ['UTF-16 BE', utf16(TABLE, true, true)],
    ['UTF-16 LE without its mark', utf16(TABLE, false, false)],
    ['UTF-16 BE without its mark', utf16(TABLE, true, false)],
    ['lines that end with CR and LF', Buffer.from(TABLE.replaceAll('\n', '\r\n'))],
    ['lines that end with CR', Buffer.from(TABLE.replaceAll('\n', '\r'))],
    ['two kinds of line ends', Buffer.from(TABLE.replace('\n', '\r\n'))],
    ['empty lines', Buffer.from(`\n\n${TABLE.replaceAll('\n', '\n\r\n\n')}`)],
    ['no line end at its end', Buffer.from(TABLE.trimEnd())],
  ])('%s', async (_, bytes) => {
    const items = await itemsOf(bytes);
    expect(items.map(({ input }) => input.prompt)).toEqual(PROMPTS);
    expect(items).toEqual(await itemsOf(TABLE));
  });
  test('UTF-16 of few Latin letters, without its mark', async () => {
    const table = `model,prompt\n${'z-image,一只红色的狐狸在雪地里一一一一一一\n'.repeat(20)}`;
    for (const big of [false, true]) expect(await itemsOf(utf16(table, big, false))).toEqual(await itemsOf(table));
  });
  test('Windows-1252, where it is named', async () => {
    const items = await itemsOf(windows, { encoding: 'windows-1252' });
    expect(items.map(({ input }) => input.prompt)).toEqual(PROMPTS);
  });
});

test('Windows-1252 is refused by its name and the line, because a wrong guess would be paid for', async () => {
  const [problem] = await problemsOf(windows);
  expect(problem).toMatch(/^2: is not UTF-8\. The file may be Windows-1252.*--encoding windows-1252/);
});

test('a wrong byte is found in its line, also far behind the beginning', async () => {
  const lines = Array.from({ length: 20_000 }, (_, n) => `z-image,fox ${n}\n`).join('');
  const bytes = Buffer.concat([Buffer.from(`model,prompt\n${lines}`), Buffer.from([0x66, 0xe4, 0x0a, 0x66])]);
  expect(await problemsOf(bytes)).toEqual([expect.stringMatching(/^20002: is not UTF-8/)]);
});

test.each([
  ['a workbook', Buffer.from([0x50, 0x4b, 3, 4, 0, 0]), /^null: This is a workbook/],
  ['a picture', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 1, 0, 0, 7, 7]), /^null: This is no text/],
  ['half a character of UTF-16', Buffer.concat([utf16(TABLE, false, true), Buffer.from([0x41])]), /is not utf-16le/],
  ['a JSON array', Buffer.from('[{"model":"z-image"}]'), /^null: This is a JSON array.*jq -c/],
  ['nothing', Buffer.alloc(0), /^null: The file has no items/],
  ['a header alone', Buffer.from('model,prompt\n'), /^null: The file has no items/],
])('%s is refused', async (_, bytes, problem) => {
  expect(await problemsOf(bytes)).toEqual([expect.stringMatching(problem)]);
});

test('an unknown name of an encoding is refused', async () => {
  expect(await problemsOf(TABLE, { encoding: 'klingon' })).toEqual([expect.stringMatching(/--encoding: "klingon"/)]);
});

test('where the chunks of a file are cut makes no difference', async () => {
  const texts = fc.array(fc.constantFrom('a', 'ü', '狐', '🦊', '\n', '\r', '\r\n', ',')).map((parts) => parts.join(''));
  await fc.assert(
    fc.asyncProperty(
      texts,
      fc.constantFrom('utf-8', 'utf-16le', 'utf-16be'),
      fc.nat(7),
      async (text, encoding, size) => {
        const bytes = encoding === 'utf-8' ? Buffer.from(text) : utf16(text, encoding === 'utf-16be', false);
        async function* chunks() {
          for (let at = 0; at < bytes.length; at += size + 1) yield bytes.subarray(at, at + size + 1);
        }
        let decoded = '';
        for await (const part of decode(chunks(), encoding)) decoded += part;
        expect(decoded).toBe(text.replaceAll(/\r\n?/g, '\n'));
      },
    ),
  );
});

test('a mark says more than a name', () => {
  expect(encodingOf(utf16('a', true, true), 'windows-1252')).toBe('utf-16be');
});
