export * from './activities.js';
export * from './chat.js';
export * from './codes.js';
export * from './failures.js';
export * from './generation.js';
export * from './names.js';
export * from './references.js';
