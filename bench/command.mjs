// What the command costs to start: next to Node that does nothing, and next to a script that only connects and lists.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { median } from './cost.mjs';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
const LIST = fileURLToPath(new URL('plain-list.mjs', import.meta.url));

/** Each with what it stands next to, and by how many seconds it may be above that. */
const CASES = {
  'node -e 0': { args: ['-e', '0'] },
  'rivya-temporal --version': { args: [MAIN, '--version'], next: 'node -e 0', limit: 0.3 },
  'rivya-temporal --help': { args: [MAIN, '--help'], next: 'node -e 0', limit: 0.3 },
  'plain list': { args: [LIST] },
  'rivya-temporal list': { args: [MAIN, 'list'], next: 'plain list', limit: 0.4 },
};

export async function benchCommand(log) {
  const server = await startDevServer({ log, ui: false, port: 0 });
  const env = { ...process.env, TEMPORAL_ADDRESS: server.address };
  const seconds = new Map(Object.keys(CASES).map((name) => [name, []]));
  // In turns, so that a moment in which the machine is busy meets all of them.
  for (let round = 1; round <= ROUNDS; round++) {
    for (const [name, { args }] of Object.entries(CASES)) {
      const startedAt = performance.now();
      const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
      if (status !== 0) throw new Error(`${name}: ${stderr}`);
      seconds.get(name).push((performance.now() - startedAt) / 1_000);
    }
  }
  await server.stop();
  const rows = Object.entries(CASES).map(([command, { next, limit = null }]) => {
    const above = next === undefined ? null : median(seconds.get(command)) - median(seconds.get(next));
    return {
      command,
      's (median)': median(seconds.get(command)).toFixed(2),
      'next to': next ?? '',
      's above': above?.toFixed(2) ?? '',
      'wanted at most': limit ?? '',
    };
  });
  console.log('\nStart of the command');
  console.table(rows);
}
