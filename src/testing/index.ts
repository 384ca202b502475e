/** For tests of your own pipelines: the Rivya API as a local server. */
export * from '../emulator/index.js';
