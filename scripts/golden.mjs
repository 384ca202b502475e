// Adds golden vectors: write one into test/golden/*.json with its inputs alone, and run
//   npm run build && node scripts/golden.mjs
// which fills in what comes of them. What a vector says already is never changed: a running Workflow pays by it.
import { readFileSync, writeFileSync } from 'node:fs';
import { idempotencyKey, readChat, readInput, requestWith } from '../dist/src/policy/index.js';

function update(name, fill) {
  const file = new URL(`../test/golden/${name}.json`, import.meta.url);
  writeFileSync(file, `${JSON.stringify(fill(JSON.parse(readFileSync(file, 'utf8'))), null, 2)}\n`);
}

update('keys', (vectors) => vectors.map(({ parts, key }) => ({ parts, key: key ?? idempotencyKey(parts) })));
for (const [name, read] of [
  ['bodies', readInput],
  ['chat', readChat],
]) {
  update(name, (vectors) => vectors.map(({ input, body }) => ({ input, body: body ?? read(input).body })));
}
update('references', (vectors) =>
  vectors.map((vector) => {
    const { body, references } = readInput(vector.input);
    const made = requestWith(body, references, vector.uploads);
    return { body: made.body, digest: made.digest, ...vector };
  }),
);
