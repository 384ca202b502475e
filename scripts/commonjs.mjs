// What CommonJS programs need of the build, in dist/commonjs: for each export a module that requires the real one (Node
// can from 20.19 on), and copies of its types. They are the same declarations, but below a package.json that says
// "commonjs", without which TypeScript takes them for modules that cannot be required.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.dirname(import.meta.dirname);
const SIDE = 'dist/commonjs';

/** The module behind each export, relative to `dist`, without an extension. */
export function entries({ exports }) {
  const modules = Object.entries(exports).filter(([, target]) => typeof target === 'object');
  return modules.map(([name, { default: file }]) => ({ name, module: /^\.\/dist\/(.*)\.js$/.exec(file)[1] }));
}

/** The lines of package.json that follow from the list of entries, so that a new export needs one path only. */
export function resolution(list) {
  const exports = {};
  const typesVersions = {};
  for (const { name, module } of list) {
    const types = `./dist/${module}.d.ts`;
    exports[name] = {
      require: { types: `./${SIDE}/${module}.d.ts`, default: `./${SIDE}/${module}.js` },
      types,
      default: `./dist/${module}.js`,
    };
    // TypeScript with the old resolution ("node10") does not read `exports`.
    if (name !== '.') typesVersions[name.slice(2)] = [types];
  }
  return { exports, typesVersions: { '*': typesVersions } };
}

/** Writes dist/commonjs. */
export function buildCommonJs() {
  const list = entries(JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')));
  const side = path.join(ROOT, SIDE);
  for (const { module } of list) {
    const file = path.join(side, `${module}.js`);
    const real = path.relative(path.dirname(file), path.join(ROOT, 'dist', `${module}.js`)).replaceAll('\\', '/');
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `module.exports = require('${real}');\n`);
    copyTypes(path.join(ROOT, 'dist', `${module}.d.ts`), side);
  }
  writeFileSync(path.join(side, 'package.json'), '{ "type": "commonjs" }\n');
}

/** Copies declarations with those they refer to. */
function copyTypes(file, side) {
  const target = path.join(side, path.relative(path.join(ROOT, 'dist'), file));
  if (existsSync(target)) return;
  mkdirSync(path.dirname(target), { recursive: true });
  copyFileSync(file, target);
  for (const [, specifier] of readFileSync(file, 'utf8').matchAll(/(?:from |import\()['"](\.[^'"]+)\.js['"]/g)) {
    copyTypes(path.resolve(path.dirname(file), `${specifier}.d.ts`), side);
  }
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
