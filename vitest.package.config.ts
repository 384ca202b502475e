import { defineConfig } from 'vitest/config';
import base from './vitest.config.js';

// The package as it is published. It needs the npm registry and minutes, so it runs by itself.
export default defineConfig({
  test: {
    ...base.test,
    include: ['test/package/**/*.test.ts'],
    exclude: [],
    globalSetup: ['test/temporal/global-setup.ts'],
    testTimeout: 300_000,
  },
});
