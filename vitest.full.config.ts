import { defineConfig } from 'vitest/config';
import { REPORTERS, WITH_TEMPORAL } from './vitest.config.js';

// Proofs that take too long for every run: real processes that are really killed.
export default defineConfig({
  test: { ...REPORTERS, ...WITH_TEMPORAL, include: ['test/full/**/*.test.ts'], testTimeout: 600_000 },
});
