/** README and docs say what is true: they are checked against the code they speak of. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { blocksOf, brokenLinks } from '../support/markdown.js';

const root = new URL('../../', import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, root), 'utf8');
const guarantees = read('docs/guarantees.md');
const proofs = read('docs/proofs.md');

describe('each promise has proofs that exist', () => {
  const lines = proofs.split('\n').filter((line) => line.startsWith('- `test/'));
  test('there are proofs', () => expect(lines.length).toBeGreaterThan(15));
  test.each(lines)('%s', (line) => expect(notFound(line)).toEqual([]));

  test('P1 to P9 are promised, and each is proven', () => {
    const [promises = ''] = guarantees.split('\n## ');
    const names = Array.from(promises.matchAll(/^- \*\*(.+?)\.\*\*/gm), ([, name]) => name!);
    const proven = proofs.split('\n## ').filter((section) => section.includes('\n- `test/'));
    expect(names).toEqual(proven.map((section) => section.split('\n')[0]));
    expect(names.map((name) => name.split(' ')[0])).toEqual(Array.from({ length: 9 }, (_, n) => `P${n + 1}`));
  });
});

/** What a proof names and nobody finds. It is one or more files in backticks, and titles of their tests in quotes. */
function notFound(proof: string): string[] {
  const files = Array.from(proof.matchAll(/`([^`]+)`/g), ([, name]) => name!);
  if (files.length === 0) return ['a file'];
  const lost = files.filter((file) => !existsSync(new URL(file, root)));
  if (lost.length > 0) return lost;
  const code = files.flatMap((file) => (file.endsWith('.ts') ? read(file) : [])).join('\n');
  return Array.from(proof.matchAll(/"([^"]+)"/g), ([, title]) => title!).filter((title) => !code.includes(title));
}

describe('every link to a file of the project, and to a heading in it, works', () => {
  const pages = ['', 'docs/', 'examples/'].flatMap((folder) =>
    readdirSync(new URL(folder, root)).flatMap((name) => (name.endsWith('.md') ? [folder + name] : [])),
  );
  test.each(pages)('%s', (page) => expect(brokenLinks(fileURLToPath(root), page)).toEqual([]));
});

test('README and the way of one generation can be read in one sitting', () => {
  const lines = (page: string): number => read(page).trimEnd().split('\n').length;
  expect(lines('README.md')).toBeLessThanOrEqual(200);
  expect(lines('docs/how-it-works.md')).toBeLessThanOrEqual(150);
});

describe('every name in docs/how-it-works.md exists in the code', () => {
  const page = read('docs/how-it-works.md');
  const sources = ['src', 'workflows', 'activities'].flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, root), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${folder}/${name}`),
  );
  const code = `${sources.join('\n')}\n${sources.map(read).join('\n')}`;
  const inText = Array.from(page.matchAll(/`([^`\n]+)`/g), ([, text]) => text!.match(/[\w/-]+\.ts|\w{2,}/g) ?? []);
  // Of a diagram, what is written as code is: words in camel case, and files.
  const diagrams = blocksOf(page).filter(({ language }) => language === 'mermaid');
  const inDiagrams = diagrams.map(
    ({ code: text }) =>
      text.slice(text.indexOf('\n')).match(/\b([a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*|[\w-]+\.ts)\b/g) ?? [],
  );
  test('there is a diagram of a payment and one of a submit', () => expect(diagrams).toHaveLength(2));
  test.each([...new Set([...inText, ...inDiagrams].flat())])('%s', (name) => expect(code.includes(name)).toBe(true));
});
