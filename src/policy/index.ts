export * from './duration.js';
export * from './hold.js';
export * from './input.js';
export * from './key.js';
export * from './retry.js';
export * from './schedule.js';
export * from './text.js';
export * from './timeouts.js';
