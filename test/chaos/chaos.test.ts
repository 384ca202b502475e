/** Every fault between submit and delivery at once, and every process killed. `npm run chaos` does it for longer. */
import { expect, test } from 'vitest';
import { chaos } from './run.js';

// Ten times what it takes: a machine that is busy otherwise is no reason to fail.
const LIMIT_MS = 600_000;

test(
  'paid exactly as designed, delivered whole, nothing left behind, whatever fails and whoever is killed',
  async () => {
    // Each process is killed at least once. A slow machine does not kill more often.
    const plan = { seed: 1, jobs: 40, killEveryMs: 5_000, kills: 8, inFlight: 40, faults: 1, long: false };
    const { problems, report } = await chaos(plan);
    expect(problems, report).toHaveLength(0);
  },
  LIMIT_MS,
);
