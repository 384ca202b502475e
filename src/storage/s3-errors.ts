/** Errors of the AWS SDK in our own words: its texts, and those of servers, can quote what was signed. */

const RIGHTS = 'its credentials need s3:GetObject, s3:PutObject, s3:ListBucket and s3:AbortMultipartUpload';
const CREDENTIALS = 'the credentials are not accepted: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the role';
const REGION = 'the bucket is in another region: set AWS_REGION to it';
const FULL = 'there is no room left in it';
const NO_CHECKSUMS =
  'AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED and AWS_RESPONSE_CHECKSUM_VALIDATION=WHEN_REQUIRED';
const CHECKSUMS = `it does not take the checksums that the AWS SDK adds by itself: set ${NO_CHECKSUMS}`;
const NOT_DONE = `it does not do something that was asked of it. Perhaps it is the checksums of the AWS SDK: set ${NO_CHECKSUMS}; if that does not help, it cannot keep results`;
// Other services name the header that they do not know, in words of their own.
const ABOUT_CHECKSUMS = /x-amz-(?:sdk-)?(?:checksum|trailer)|aws-chunked|STREAMING-UNSIGNED-PAYLOAD-TRAILER/i;

// Codes that say more than their status; other refusals are judged by `byStatus`.
const FOR_A_PERSON: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket: create it, or correct RIVYA_STORE',
  InvalidBucketName: 'this is no name of a bucket: correct RIVYA_STORE',
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  InvalidToken: CREDENTIALS,
  ExpiredToken: 'the credentials have expired: renew them',
  AuthorizationHeaderMalformed: REGION,
  RequestTimeTooSkewed: "this machine's clock is wrong: set it (NTP)",
  QuotaExceeded: FULL,
};
// Refusals of this one request, for its timing or its body on the way: the next one may pass.
const PASSING = new Set(['RequestTimeout', 'IncompleteBody', 'BadDigest', 'NoSuchUpload', 'OperationAborted']);
const PASSING_STATUS = new Set([408, 409, 429]);
// Codes of S3 and of Node are single words. Anything else is a sentence, which may quote a secret.
const WORD = /^[A-Za-z][A-Za-z0-9_]{2,60}$/;

// The names of the SDK for a reply without a code.
const NO_CODES = new Set(['Error', 'Unknown', 'UnknownError']);

type SdkError = Partial<Record<'name' | 'code' | 'message', unknown>> & {
  readonly $metadata?: { readonly httpStatusCode?: number };
};

/** `code`: of S3 or the network, or the HTTP status. `person`: no further try helps until a person has acted. */
export function s3Problem(error: unknown): { code: string; says: string; person: boolean } {
  const { name, code: networkCode, message, $metadata } = (error ?? {}) as SdkError;
  const status = $metadata?.httpStatusCode;
  if (status === undefined) {
    return { code: word(networkCode) ?? word(name) ?? 'Error', says: withoutStatus(name), person: false };
  }
  // A reply without an error code of S3, such as a proxy's page, has only its status.
  const code = word(name) ?? String(status);
  const known = Object.hasOwn(FOR_A_PERSON, code) ? FOR_A_PERSON[code] : byStatus(status, String(message));
  if (known !== undefined) return { code, says: known, person: true };
  const passing = status < 300 || status >= 500 || PASSING_STATUS.has(status) || PASSING.has(code);
  return { code, says: `it answered ${status}`, person: !passing };
}

/** What happened where no reply came. All of it may pass: even credentials can come from a service that is away. */
function withoutStatus(name: unknown): string {
  if (name === 'CredentialsProviderError') {
    return 'no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role';
  }
  return name === 'TimeoutError' || name === 'AbortError' ? 'it gives no answer' : 'it cannot be reached';
}

function byStatus(status: number, message: string): string | undefined {
  if ((status === 501 || status === 400) && ABOUT_CHECKSUMS.test(message)) return CHECKSUMS;
  if (status === 501) return NOT_DONE;
  if (status === 301 || status === 307) return REGION;
  if (status === 401 || status === 403) return `access is denied: ${RIGHTS}`;
  return status === 507 ? FULL : undefined;
}

function word(value: unknown): string | undefined {
  if (typeof value !== 'string' || NO_CODES.has(value)) return undefined;
  return WORD.test(value) ? value : undefined;
}
