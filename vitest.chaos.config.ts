import { defineConfig } from 'vitest/config';

// Run by scripts/chaos.mjs. It has a Temporal server of its own, and takes as long as it takes.
export default defineConfig({
  test: { include: ['test/chaos/long.ts'], pool: 'forks', testTimeout: 0, disableConsoleIntercept: true },
});
