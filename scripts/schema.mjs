// Writes schema/*.json from the zod schemas of the build; `npm run schema` builds first and formats them.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { jsonSchemas } from '../dist/src/schema/index.js';

const directory = path.join(path.dirname(import.meta.dirname), 'schema');
mkdirSync(directory, { recursive: true });
for (const [file, schema] of Object.entries(jsonSchemas())) {
  writeFileSync(path.join(directory, file), JSON.stringify(schema));
}
