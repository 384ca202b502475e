// Makes one file of the Worker. Arguments: the format, and the file.
import { build } from 'esbuild';

const [, , format, outfile] = process.argv;
// CommonJS packages that are put into an ES module want a `require`.
const js = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

await build({
  entryPoints: ['program.ts'],
  bundle: true,
  platform: 'node',
  format,
  outfile,
  // The core of the SDK is native.
  external: ['@temporalio/*'],
  banner: format === 'esm' ? { js } : {},
});
