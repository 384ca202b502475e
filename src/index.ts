/** For programs that start generations and wait for them. Imports no Worker and no API client. */
export { GenerationClient, GenerationError, GenerationHandle, memoOf, type StartOptions } from './client.js';
export * from './contract/index.js';
export { InvalidInput } from './policy/fields.js';
export { encryptedDataConverter } from './codec/converter.js';
