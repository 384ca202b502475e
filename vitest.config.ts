import { defineConfig } from 'vitest/config';

/** Options of every test, also of those that `npm test` leaves out. */
export const SHARED = {
  // The SDK's native part wants a process of its own.
  pool: 'forks',
  isolate: false,
  // Tests mostly wait, so four files at a time keep two cores busy.
  maxWorkers: 4,
  // Tests that run at the same time mostly wait for timers; five at once, the default, would wait in a row.
  maxConcurrency: 20,
  // Most tests take seconds; on a machine that is busy with other work, those that run many Workflows take minutes.
  testTimeout: 400_000,
  hookTimeout: 400_000,
} as const;

/** Where `.ci/run` asks for them, the files that are not green are written down too. */
export const REPORTERS = {
  reporters: process.env['RED_FILES'] === undefined ? ['default'] : ['default', './test/support/red-files.ts'],
};

/** Options of tests that need a Temporal server, or the Workflows as a bundle. */
export const WITH_TEMPORAL = {
  ...SHARED,
  name: 'temporal',
  globalSetup: ['test/temporal/global-setup.ts', 'test/support/bundle-setup.ts'],
};

/** Tests without a Temporal server. */
export const UNITS = 'test/{activities,api,batch,codec,docs,emulator,lint,policy,schema,storage}/**/*.test.ts';

export default defineConfig({
  test: {
    ...REPORTERS,
    projects: [
      { test: { ...SHARED, name: 'units', include: [UNITS] } },
      {
        test: {
          ...WITH_TEMPORAL,
          include: ['test/**/*.test.ts'],
          exclude: [UNITS, 'test/full/**', 'test/package/**', 'test/browser/**'],
        },
      },
    ],
  },
});
