/**
 * The failure converter within the Workflow bundle that comes with this package. One bundle serves both: it encodes failures
 * where the Worker that loads it has added `ENCODES_FAILURES` to it.
 */
import { defaultFailureConverter, type FailureConverter } from '@temporalio/common';
import { failureConverter as encoding } from './failure-converter.js';

const chosen = (): FailureConverter => ('rivyaEncodesFailures' in globalThis ? encoding : defaultFailureConverter);

export const failureConverter: FailureConverter = {
  errorToFailure: (...given) => chosen().errorToFailure(...given),
  failureToError: (...given) => chosen().failureToError(...given),
};
