/** Where the files of this package are: its Workflow code, and what the SDK loads by path. */
// Not under its own name, which the usual banner of esbuild declares.
import { createRequire as requireFrom } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SettingsError } from './config.js';

// A bundler that writes CommonJS leaves no URL of a module; the program that was started stands in for it.
const here = import.meta.url || pathToFileURL(process.argv[1] ?? 'program.js').href;
export const require = requireFrom(here);

/** `dist` of the package, also where a bundler has put this module into a program. @throws SettingsError */
function findDist(): string {
  if (here.endsWith('/dist/src/dist.js')) return fileURLToPath(new URL('..', here));
  try {
    return path.join(path.dirname(require.resolve('rivya-temporal/package.json')), 'dist');
  } catch {
    throw new SettingsError(
      `rivya-temporal: its Workflow code is missing. The package was bundled into ${fileURLToPath(here)}, and its files must be installed where that runs: npm install rivya-temporal`,
    );
  }
}
export const dist = findDist();
