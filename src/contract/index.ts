/** Types, names and tables that every part of the package shares. This folder imports nothing but itself. */
export * from './account.js';
export * from './activities.js';
export * from './batch.js';
export * from './chat.js';
export * from './codes.js';
export * from './failures.js';
export * from './generation.js';
export type * from './models.js';
export * from './names.js';
export * from './references.js';
