/** What the types of the package need to be installed beside it. */
import { readFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly require: { types: string } }>>;
  readonly dependencies: object;
  readonly peerDependencies: object;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>;
}
const manifest = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as Manifest;

const entries = Object.entries(manifest.exports).flatMap(([name, target]) =>
  typeof target === 'string'
    ? []
    : [
        [name, target.types],
        [`${name} of CommonJS`, target.require.types],
      ],
) as [name: string, file: string][];

/** All modules that declarations name, in whatever way. */
function named(declarations: string): string[] {
  // An example in a comment needs nothing. Comments that begin a line are all that the compiler writes.
  const code = declarations.replaceAll(/^\s*(?:\/\*[\s\S]*?\*\/|\/\/(?!\/).*$)/gm, '');
  const imports = code.matchAll(/\b(?:from|import|require|module)\s*\(?\s*(['"])(?<name>[^'"]+)\1/g);
  const references = code.matchAll(/^\/\/\/\s*<reference\s+types=(['"])(?<name>[^'"]+)\1/gm);
  return [...imports, ...references].map(({ groups }) => groups!['name']!);
}

/** Each package that declarations need, with the files that name it; through all relative files that they lead to. */
async function packagesOf(entry: string): Promise<Map<string, Set<string>>> {
  const packages = new Map<string, Set<string>>();
  const seen = new Set<string>();
  const visit = async (file: string): Promise<void> => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const name of named(await readFile(path.join(ROOT, file), 'utf8'))) {
      if (name.startsWith('.')) {
        await visit(path.join(path.dirname(file), name.replace(/\.js$/, '.d.ts')));
      } else if (!isBuiltin(name)) {
        const owner = /^(?:@[^/]+\/)?[^/]+/.exec(name)![0];
        packages.set(owner, (packages.get(owner) ?? new Set()).add(file));
      }
    }
  };
  await visit(entry);
  return packages;
}

const optional = (name: string): boolean => manifest.peerDependenciesMeta[name]?.optional === true;
const always = new Set([
  ...Object.keys(manifest.dependencies),
  ...Object.keys(manifest.peerDependencies).filter((name) => !optional(name)),
]);

// Without `skipLibCheck` TypeScript fails on a package that a declaration names and that is not there.
test.each(entries)('the types of %s name no package that a project may lack', async (_, entry) => {
  const packages = await packagesOf(entry);
  expect([...packages].filter(([name]) => !always.has(name)).map(([name, files]) => [name, ...files])).toEqual([]);
});

test('what the test looks for is found in each form', () => {
  const forms = [
    "/** import type { A } from 'of-a-comment'; */",
    "// import 'of-a-line';",
    '/// <reference types="node" />',
    "import type * as S3 from '@aws-sdk/client-s3';",
    "import './side.js';",
    "export * from './all.js';",
    "export declare const sdk: typeof import('dynamic');",
    "import old = require('required');",
    "declare module 'augmented' {}",
  ];
  const found = ['@aws-sdk/client-s3', './side.js', './all.js', 'dynamic', 'required', 'augmented', 'node'];
  expect(named(forms.join('\n'))).toEqual(found);
});
