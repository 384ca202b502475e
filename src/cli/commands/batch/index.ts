/** The commands of batches, which are loaded together. */
export * as download from './download.js';
export * as edit from './edit.js';
export * as report from './report.js';
export * as retry from './retry.js';
export * as run from './run.js';
export * as status from './status.js';
export * as steer from './steer.js';
