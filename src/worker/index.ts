/** For programs that run Workers: Rivya generations in your own process, with your Temporal connection and converter. */
export { SettingsError, type WorkerRole } from '../config.js';
export type { SpendingRules } from '../spending-policy.js';
export { StoreSettingError, StoreUnavailable, type Store, type StoredObject } from '../storage/index.js';
export type { RivyaOptions } from './options.js';
export { RivyaPlugin } from './plugin.js';
export { createRivyaWorkers } from './shared.js';
export type { HostOptions, RivyaWorkers } from './workers.js';
