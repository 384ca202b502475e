// Makes few files of what nobody imports by its path: of the command, and of some folders.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';

const IMPORT = /(?:from|import|require)\s*\(?\s*["'](\.[^"']+\.js)["']/g;
const FOLDER = path.resolve('dist/src/cli');
const MAIN = path.join(FOLDER, 'main.js');
const COMMAND = /[\\/]commands[\\/]/;
const BATCH = /[\\/]commands[\\/]batch[\\/]/;
// They start before the SDK is loaded, or need what no other command does.
const ALONE = /[\\/]commands[\\/](codec-server|completion|doctor|emulator)\.js$/;
const GROUPS = [
  // The entry waits for the commands, so they cannot import from it: what both need is a file of its own.
  { name: 'start', tags: ['$initial'], test: (id) => id !== MAIN, priority: 4 },
  // Without the SDK, for those that are alone.
  { name: 'terminal', test: /[\\/]cli[\\/]terminal\.js$/, priority: 3 },
  { name: 'commands', test: (id) => COMMAND.test(id) && !BATCH.test(id) && !ALONE.test(id), priority: 2 },
  { name: 'batch', test: BATCH, priority: 1 },
];

/**
 * Writes the command anew. Modules that something else needs too stay as they are, so that each of them exists once.
 * @param others - All other modules that are imported from outside: the exports, and what runs Workers.
 */
export async function bundleCommand(others) {
  const { files: shared } = await load({ input: others, dir: FOLDER, isOutside: () => false });
  await rewrite({ input: [MAIN], dir: FOLDER, isOutside: (file) => shared.includes(file), groups: GROUPS });
  rmSync(path.join(FOLDER, 'commands'), { recursive: true });
}

/**
 * Writes a folder anew as the modules that something outside imports, and what they share.
 * @param names - Those that are found by their path.
 */
export async function bundleFolder(folder, names = []) {
  const dir = path.resolve(folder);
  const isOutside = (file) => !file.startsWith(dir + path.sep);
  const input = new Set(names.map((name) => path.join(dir, name)));
  for (const name of readdirSync('dist', { recursive: true })) {
    const file = path.resolve('dist', name);
    if (!file.endsWith('.js') || !isOutside(file)) continue;
    for (const [, imported] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
      const target = path.resolve(path.dirname(file), imported);
      if (!isOutside(target)) input.add(target);
    }
  }
  await rewrite({ input: [...input], dir, isOutside });
}

async function rewrite(bundle) {
  const { files, output } = await load(bundle);
  for (const file of files) rmSync(file);
  mkdirSync(bundle.dir, { recursive: true });
  for (const { fileName, code } of output) writeFileSync(path.join(bundle.dir, fileName), code);
}

/** Bundles these modules without those that are left outside. */
async function load({ input, dir, isOutside, groups }) {
  let files = [];
  const plugin = {
    name: 'files',
    buildEnd() {
      files = [...this.getModuleIds()].filter((id) => path.isAbsolute(id) && !isOutside(id));
    },
  };
  const external = (id, importer) => {
    if (importer === undefined) return false;
    const isFile = id.startsWith('.') || path.isAbsolute(id);
    return !isFile || isOutside(path.resolve(path.dirname(importer), id));
  };
  const preserveEntrySignatures = groups === undefined ? 'exports-only' : false;
  const bundle = await rolldown({ input, external, preserveEntrySignatures, plugins: [plugin] });
  const names = { entryFileNames: '[name].js', chunkFileNames: '[name].js' };
  const codeSplitting = groups === undefined ? true : { groups };
  const { output } = await bundle.generate({ dir, ...names, comments: false, codeSplitting });
  return { files, output };
}
