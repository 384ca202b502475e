// Makes few files of the command, because nobody imports its modules by their paths. Modules that an export or a Worker needs
// too stay as they are, so that each of them exists once.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';

const FOLDER = path.resolve('dist/src/cli');
const MAIN = path.join(FOLDER, 'main.js');
const COMMAND = /[\\/]commands[\\/]/;
const BATCH = /[\\/]commands[\\/]batch[\\/]/;
// They start before the SDK is loaded, or need what no other command does.
const ALONE = /[\\/]commands[\\/](completion|demo|dev|doctor|emulator|worker)\.js$/;

/**
 * Writes the command anew, and removes the modules that only it needs.
 * @param others - All other modules that are imported from outside: the exports, and what runs Workers.
 */
export async function bundleCommand(others) {
  const { files: shared } = await load(others);
  const { files, output } = await load([MAIN], shared);
  for (const file of files) rmSync(file);
  rmSync(path.join(FOLDER, 'commands'), { recursive: true });
  mkdirSync(FOLDER, { recursive: true });
  for (const { fileName, code } of output) writeFileSync(path.join(FOLDER, fileName), code);
}

/** Bundles these modules without those that are left outside. */
async function load(input, outside = []) {
  let files = [];
  const plugin = {
    name: 'files',
    buildEnd() {
      files = [...this.getModuleIds()].filter((id) => path.isAbsolute(id));
    },
  };
  const external = (id, importer) => {
    if (importer === undefined) return false;
    const isFile = id.startsWith('.') || path.isAbsolute(id);
    return !isFile || outside.includes(path.resolve(path.dirname(importer), id));
  };
  const bundle = await rolldown({ input, external, preserveEntrySignatures: false, plugins: [plugin] });
  const { output } = await bundle.generate({
    dir: FOLDER,
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    comments: false,
    // The entry waits for the commands, so they cannot import from it: what both need is a file of its own.
    codeSplitting: {
      groups: [
        { name: 'start', tags: ['$initial'], test: (id) => id !== MAIN, priority: 4 },
        // Without the SDK, for those that are alone.
        { name: 'terminal', test: /[\\/]cli[\\/]terminal\.js$/, priority: 3 },
        { name: 'commands', test: (id) => COMMAND.test(id) && !BATCH.test(id) && !ALONE.test(id), priority: 2 },
        { name: 'batch', test: BATCH, priority: 1 },
      ],
    },
  });
  return { files: files.filter((file) => !outside.includes(file)), output };
}
