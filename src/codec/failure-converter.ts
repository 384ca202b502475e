/**
 * The failure converter of encrypted histories: messages and stack traces become a payload, which the codec encrypts. The SDK
 * loads this file by its path, in the Worker and in the Workflow sandbox, so it imports nothing else.
 */
import {
  ApplicationFailure,
  DefaultFailureConverter,
  type FailureConverter,
  type PayloadConverter,
} from '@temporalio/common';

/** A payload cannot be decrypted. The message names the key ID, and stays in the clear: only keys can help to read it. */
export class EncryptionKeyError extends Error {
  override readonly name = 'EncryptionKeyError';
}

class EncodingFailureConverter extends DefaultFailureConverter {
  readonly #plain = new DefaultFailureConverter();

  constructor() {
    super({ encodeCommonAttributes: true });
  }

  override errorToFailure(error: unknown, ...rest: [PayloadConverter]): ReturnType<FailureConverter['errorToFailure']> {
    const type = error instanceof ApplicationFailure ? error.type : error instanceof Error ? error.name : null;
    return type === 'EncryptionKeyError'
      ? this.#plain.errorToFailure(error, ...rest)
      : super.errorToFailure(error, ...rest);
  }
}

export const failureConverter: FailureConverter = new EncodingFailureConverter();
