import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/full/**', 'test/package/**', 'test/browser/**'],
    // The SDK's native part wants a process of its own.
    pool: 'forks',
    // Two cores: a third file only makes the waits of the others longer.
    maxWorkers: 3,
    // Tests that run at the same time mostly wait for timers; five at once, the default, would wait in a row.
    maxConcurrency: 20,
    globalSetup: ['test/temporal/global-setup.ts', 'test/support/bundle-setup.ts'],
    // A Workflow test waits 2 to 3 s before its first check, and holds and retries add to that.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
