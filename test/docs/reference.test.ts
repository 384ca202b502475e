/** The reference is that of the code: `npm run reference` writes it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { expect, test } from 'vitest';
import { referencePage } from '../../scripts/reference.js';
import { ENDED_BY_OTHERS, ERROR_CODES, FAILURE, failureEnd, STOPPED } from '../../src/contract/index.js';

const file = fileURLToPath(new URL('../../docs/reference.md', import.meta.url));

test('docs/reference.md is made from the code as it is (npm run reference)', async () => {
  const style = { ...(await resolveConfig(file)), filepath: file };
  await expect(await format(await referencePage(), style)).toMatchFileSnapshot(file);
});

test('every example ends with the place of its own section', () => {
  const sections = Array.from(readFileSync(file, 'utf8').matchAll(/^### (\w+)\n\n.*<br>`(.*)`$/gm));
  expect(sections.length).toBe(Object.keys(ERROR_CODES).length + Object.keys(FAILURE).length + [STOPPED].length);
  // A refused key of another input is one failure for both codes.
  const own = (name: string): string => (name === 'idempotency_conflict' ? 'inputchanged' : name.toLowerCase());
  for (const [, name, example] of sections) expect(example).toContain(`docs/reference.md#${own(name!)})`);
});

const codes = [...Object.keys(ERROR_CODES), ...Object.keys(FAILURE), ...ENDED_BY_OTHERS, STOPPED, 'http_418'];
test.each(codes)('a failure message of %s ends with a heading of the reference', (code) => {
  const [, anchor = ''] = /\(see rivya-temporal\/docs\/reference\.md#([\w-]+)\)$/.exec(failureEnd(code, 'Resume.'))!;
  const headings = readFileSync(file, 'utf8').matchAll(/^### (.+)$/gm);
  expect(Array.from(headings, ([, heading]) => heading!.toLowerCase().replaceAll(' ', '-'))).toContain(anchor);
});
