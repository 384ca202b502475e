import { defineConfig } from 'vitest/config';
import { REPORTERS, WITH_TEMPORAL } from './vitest.config.js';

// The Temporal UI and the report of a batch in a real browser, which scripts/test-browser.sh finds or installs.
export default defineConfig({
  test: {
    ...REPORTERS,
    ...WITH_TEMPORAL,
    include: ['test/browser/**/*.test.ts'],
    // It brings a server with the UI along.
    globalSetup: ['test/support/bundle-setup.ts'],
  },
});
