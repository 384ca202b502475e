// What CommonJS programs need of the build, in dist/commonjs: for each export a module that requires the real one (Node
// can from 20.19 on), and one of types that refers to the real ones. Both lie below a package.json that says "commonjs",
// without which TypeScript takes them for modules that cannot be required.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.dirname(import.meta.dirname);
const SIDE = 'dist/commonjs';

/** The module behind each export, relative to `dist`, without an extension, and its name in dist/commonjs. */
export function entries({ exports } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'))) {
  const modules = Object.entries(exports).filter(([, target]) => typeof target === 'object');
  return modules.map(([name, { default: file }]) => ({
    name,
    module: /^\.\/dist\/(.*)\.js$/.exec(file)[1],
    side: name === '.' ? 'index' : name.slice(2),
  }));
}

/** The lines of package.json that follow from the list of entries, so that a new export needs one path only. */
export function resolution(list) {
  const exports = {};
  const typesVersions = {};
  for (const { name, module, side } of list) {
    const types = `./dist/${module}.d.ts`;
    exports[name] = {
      require: { types: `./${SIDE}/${side}.d.ts`, default: `./${SIDE}/${side}.js` },
      types,
      default: `./dist/${module}.js`,
    };
    // TypeScript with the old resolution ("node10") does not read `exports`.
    if (name !== '.') typesVersions[side] = [types];
  }
  return { exports, typesVersions: { '*': typesVersions } };
}

/** Writes dist/commonjs. */
export function buildCommonJs() {
  const folder = path.join(ROOT, SIDE);
  mkdirSync(folder, { recursive: true });
  for (const { module, side } of entries()) {
    writeFileSync(path.join(folder, `${side}.js`), `module.exports = require('../${module}.js');\n`);
    writeFileSync(path.join(folder, `${side}.d.ts`), `export * from '../${module}.js';\n`);
  }
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "commonjs" }\n');
}

// `npm run exports` writes package.json anew after a line was added to its exports, e.g. "./worker": {"default": "…"}.
if (process.argv[1] === import.meta.filename) {
  const file = path.join(ROOT, 'package.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  const plain = Object.fromEntries(Object.entries(manifest.exports).filter(([, target]) => typeof target === 'string'));
  const { exports, typesVersions } = resolution(entries(manifest));
  writeFileSync(
    file,
    `${JSON.stringify({ ...manifest, exports: { ...exports, ...plain }, typesVersions }, null, 2)}\n`,
  );
}
