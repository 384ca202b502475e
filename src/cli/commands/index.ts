/** Commands that need the same of the SDK, and are loaded together. */
export * as account from './account.js';
export * as accountSteer from './account-steer.js';
export * as api from './api.js';
export * as charges from './charges.js';
export * as demo from './demo.js';
export * as dev from './dev.js';
export * as generate from './generate.js';
export * as list from './list.js';
export * as one from './one.js';
export * as open from './open.js';
export * as recover from './recover.js';
export * as setup from './setup.js';
export * as worker from './worker.js';
