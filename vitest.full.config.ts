import { defineConfig } from 'vitest/config';
import base from './vitest.config.js';

// Proofs that take too long for every run: real processes that are really killed.
export default defineConfig({
  test: { ...base.test, include: ['test/full/**/*.test.ts'], exclude: [], testTimeout: 300_000 },
});
