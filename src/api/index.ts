/** The Rivya HTTP client: one request a call, no retries, and failures that say whether something may have been paid. */
export { parseBaseUrl } from '../http/address.js';
export type { CreditsAnswer, FileAnswer, ModelsAnswer, PostedChat, TaskAnswer } from './answers.js';
export * from './client.js';
export * from './errors.js';
export * from './key-source.js';
export { parseHttpDate, parseRetryAfter } from './retry-after.js';
export { isTaskId, type ModelInfo } from './schemas.js';
export { Secret } from './secret.js';
export { HTTP_TIMEOUTS, type HttpTimeouts } from './transport.js';
