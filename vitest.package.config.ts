import { defineConfig } from 'vitest/config';
import { REPORTERS, WITH_TEMPORAL } from './vitest.config.js';

// The package as it is published. It needs the npm registry and minutes, so it runs by itself.
export default defineConfig({
  test: {
    ...REPORTERS,
    ...WITH_TEMPORAL,
    include: ['test/package/**/*.test.ts'],
    globalSetup: ['test/temporal/global-setup.ts'],
    testTimeout: 600_000,
  },
});
