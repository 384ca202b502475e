/** For tests of your own pipelines: the Rivya API as a local server, Workers against it, and Activities without it. */
export * from '../emulator/index.js';
export {
  createTestEnvironment,
  type EmulatorEnvironment,
  type ExistingEnvironment,
  type FakeEnvironmentOptions,
  type TestEnvironment,
  type TestEnvironmentOptions,
} from './environment.js';
export {
  fakeActivities,
  type FakeActivities,
  type FakeAnswered,
  type FakeFailed,
  type FakeHeld,
  type FakeOutcome,
  type FakeRefused,
  type FakeSucceeded,
} from './fake-activities.js';
export { fakeWorkflows } from './fake-workflows.js';
export { MemoryStore } from './memory-store.js';
export { storeContract, type StoreCase, type StoreContractOptions } from './store-contract.js';
