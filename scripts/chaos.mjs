// npm run chaos -- [--jobs N] [--seed S] [--kill-every SECONDS] [--in-flight N] [--faults N]: see test/chaos.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    'kill-every': { type: 'string', default: '10' },
    'in-flight': { type: 'string', default: '100' },
    faults: { type: 'string', default: '1' },
  },
});
const settings = Object.entries(values).map(([name, value]) => {
  if (!/^[1-9]\d*$/.test(value)) throw new TypeError(`--${name} must be a whole number above 0, not "${value}".`);
  return [`CHAOS_${name.toUpperCase().replace('-', '_')}`, value];
});
// The runner is TypeScript, which Node 20 cannot run by itself.
const vitest = path.join(path.dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', '--config', 'vitest.chaos.config.ts'], {
  cwd: path.dirname(import.meta.dirname),
  env: { ...process.env, ...Object.fromEntries(settings) },
  stdio: 'inherit',
});
process.exit(status ?? 1);
