/** The long run: `npm run chaos -- --jobs N --seed S`. */
import { expect, test } from 'vitest';
import { chaos } from './run.js';

const option = (name: string): number => Number(process.env[`CHAOS_${name}`]);

test('chaos', async () => {
  const { problems, report } = await chaos({
    seed: option('SEED'),
    jobs: option('JOBS'),
    killEveryMs: option('KILL_EVERY') * 1_000,
    inFlight: option('IN_FLIGHT'),
    faults: option('FAULTS'),
    long: true,
    log: (line) => console.error(line),
  });
  console.log(`\n${report}\n`);
  expect(problems, 'see above').toHaveLength(0);
});
