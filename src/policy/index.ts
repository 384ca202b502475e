/**
 * The pure decisions of this package. They read no clock and draw no number, so they can be replayed in a Workflow. What no
 * Workflow needs (`listed.ts`, `nearest.ts`) is left out, so that the bundle stays small.
 */
export * from './account.js';
export * from './account-input.js';
export * from './account-text.js';
export * from './asked.js';
export * from './batch.js';
export * from './batch-input.js';
export * from './batch-text.js';
export * from './body.js';
export * from './budget.js';
export * from './chat.js';
export * from './duration.js';
export * from './fields.js';
export * from './hold.js';
export * from './input.js';
export * from './key.js';
export * from './likeness.js';
export * from './media.js';
export * from './memo.js';
export * from './rate.js';
export * from './references.js';
export * from './resume.js';
export * from './retry.js';
export * from './schedule.js';
export * from './spending.js';
export * from './state.js';
export * from './text.js';
export * from './timeouts.js';
