/** The entry of the Workflow bundle: the Workflows of this package, which only the Workers of this package run. */
export { generateMedia } from './generate-media.js';
export { rivyaChat } from './rivya-chat.js';
export { rivyaBatch } from './rivya-batch.js';
export { rivyaAccount } from './rivya-account.js';
export { rivyaRead } from './rivya-read.js';
