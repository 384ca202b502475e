import { defineConfig } from 'vitest/config';
import { SHARED, UNITS, WITH_TEMPORAL } from '../../vitest.config.js';

// The longest of these tests waits for half a minute, and four run at a time.
const limit = { testTimeout: 90_000 };

// One configuration for the tests of `npm cit` and for those of `npm run test:full`.
export default defineConfig({
  // Nothing goes into node_modules, which the copies share.
  cacheDir: '.vite',
  test: {
    reporters: ['./test/sabotage/reporter.mjs'],
    projects: [
      { test: { ...SHARED, ...limit, name: 'units', include: [UNITS] } },
      { test: { ...WITH_TEMPORAL, ...limit, include: ['test/**/*.test.ts'], exclude: [UNITS] } },
    ],
  },
});
