import { defineConfig } from 'vitest/config';
import base from '../../vitest.config.js';

// One configuration for the tests of `npm cit` and for those of `npm run test:full`.
export default defineConfig({
  // Nothing goes into node_modules, which the copies share.
  cacheDir: '.vite',
  test: {
    ...base.test,
    exclude: [],
    reporters: ['./test/sabotage/reporter.mjs'],
    // The longest of them waits for half a minute, and three run at a time.
    testTimeout: 90_000,
  },
});
