/** README and docs say what is true: they are checked against the code they speak of. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ERROR_CODES, FAILURE, type ErrorCode } from '../../src/contract/index.js';

const root = new URL('../../', import.meta.url);
// Tables are padded for people.
const readme = readFileSync(new URL('README.md', root), 'utf8').replace(/ +/g, ' ');
const guarantees = readFileSync(new URL('docs/guarantees.md', root), 'utf8');
const proofs = readFileSync(new URL('docs/proofs.md', root), 'utf8');
const rows = readme.split('\n').filter((line) => line.startsWith('| '));

describe('the table of error codes', () => {
  test.each(Object.entries(ERROR_CODES))('%s: status and outcome are those of the code', (code, row) => {
    const line = rows.find((text) => text.startsWith(`| \`${code}\` |`));
    expect(line).toContain(`| ${row.httpStatus} |`);
    // A conflict and a missing task depend on what came before, and the row says so.
    const mixed: readonly ErrorCode[] = ['idempotency_conflict', 'not_found'];
    if (mixed.includes(code as ErrorCode)) return;
    const outcome = row.retried ? '| repeated' : row.actor === 'operator' ? '| holds' : '| fails';
    expect(line).toContain(outcome);
  });

  test('failures that the code can throw are named', () => {
    const missing = Object.values(FAILURE).filter((name) => !readme.includes(`\`${name}\``));
    expect(missing).toEqual([]);
  });
});

describe('each promise names a proof that exists', () => {
  const table = readme.slice(readme.indexOf('## Promises'), readme.indexOf('## Settings'));
  const promises = table.split('\n').filter((line) => line.startsWith('| ') && !/^\| (promise|---)/.test(line));
  test('there are promises', () => expect(promises.length).toBeGreaterThan(5));
  test.each(promises)('%s', (line) => expect(notFound(line.split('|')[2]!)).toEqual([]));
});

describe('each guarantee has proofs that exist', () => {
  const lines = proofs.split('\n').filter((line) => line.startsWith('- `test/'));
  test('there are proofs', () => expect(lines.length).toBeGreaterThan(15));
  test.each(lines)('%s', (line) => expect(notFound(line)).toEqual([]));

  test('the promises are those that are proven', () => {
    const [promises = ''] = guarantees.split('\n## ');
    const names = [...promises.matchAll(/^- \*\*(.+?)\.\*\*/gm)].map(([, name]) => name);
    const proven = proofs.split('\n## ').filter((section) => section.includes('\n- `test/'));
    expect(names).toEqual(proven.map((section) => section.split('\n')[0]));
  });
});

/** What a proof names and nobody finds. It is one or more files in backticks, and titles of their tests in quotes. */
function notFound(proof: string): string[] {
  const files = [...proof.matchAll(/`([^`]+)`/g)].map(([, name]) =>
    name === 'generate-media.test.ts' ? 'test/workflow/generate-media.test.ts' : name!,
  );
  if (files.length === 0) return ['a file'];
  const lost = files.filter((file) => !existsSync(new URL(file, root)));
  if (lost.length > 0) return lost;
  const tests = files.filter((file) => file.endsWith('.ts'));
  const code = tests.map((file) => readFileSync(new URL(file, root), 'utf8')).join('\n');
  return [...proof.matchAll(/"([^"]+)"/g)].flatMap(([, title]) => (code.includes(title!) ? [] : [title!]));
}

test('settings: every variable that is read is documented', () => {
  const config = readFileSync(new URL('src/config.ts', root), 'utf8');
  const read = new Set([...config.matchAll(/RIVYA_[A-Z_]+/g)].map(([name]) => name));
  const table = readme.slice(readme.indexOf('## Settings'), readme.indexOf('## Error codes'));
  for (const name of read) expect(table).toContain(name);
});

describe('every link to a file of the project works', () => {
  const pages = ['', 'docs/', 'examples/'].flatMap((folder) =>
    readdirSync(new URL(folder, root)).flatMap((name) => (name.endsWith('.md') ? [folder + name] : [])),
  );
  test.each(pages)('%s', (page) => {
    const text = readFileSync(new URL(page, root), 'utf8');
    const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, target]) => target!);
    expect(targets.filter((target) => !existsSync(new URL(target, new URL(page, root))))).toEqual([]);
  });
});
