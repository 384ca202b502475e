/** The example of docs/testing.md is the code that runs beside this file. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test.each(['teaser.ts', 'teaser.test.ts', 'teaser.unit.test.ts'])('docs/testing.md shows %s as it is', (file) => {
  const page = readFileSync(new URL('../../docs/testing.md', import.meta.url), 'utf8');
  const code = readFileSync(new URL(`testing/${file}`, import.meta.url), 'utf8');
  expect(page).toContain(`\`\`\`ts\n${code}\`\`\``);
});
