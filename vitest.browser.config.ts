import { defineConfig } from 'vitest/config';
import base from './vitest.config.js';

// The Temporal UI in a real browser, which scripts/test-browser.sh finds or installs.
export default defineConfig({
  test: {
    ...base.test,
    include: ['test/browser/**/*.test.ts'],
    exclude: [],
    // It brings a server with the UI along.
    globalSetup: ['test/support/bundle-setup.ts'],
  },
});
