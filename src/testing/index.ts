/** For tests of your own pipelines: the Rivya API as a local server, Workers against it, and Activities without it. */
export * from '../emulator/index.js';
export * from './environment.js';
export type * from './fake-activities.js';
export { fakeActivities } from './fake-activities.js';
export { fakeWorkflows } from './fake-workflows.js';
export { MemoryStore } from './memory-store.js';
export * from './store-contract.js';
