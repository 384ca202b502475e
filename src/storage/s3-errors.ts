/** What went wrong with a bucket, in our own words: texts of the SDK and of servers can quote what was signed. */
export interface S3Problem {
  /** The error code of S3, of the network, or the HTTP status. */
  readonly code: string;
  readonly says: string;
  /** True where trying again changes nothing until a person has acted. */
  readonly person: boolean;
}

const RIGHTS =
  'its credentials need s3:GetObject, s3:PutObject, s3:ListBucket, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads';
const CREDENTIALS = 'the credentials are not accepted: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the role';
const REGION = 'the bucket is in another region: set AWS_REGION to it';
const FULL = 'there is no room left in it';

const FOR_A_PERSON: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket: create it, or correct RIVYA_STORE',
  InvalidBucketName: 'this is no name of a bucket: correct RIVYA_STORE',
  AccessDenied: `access is denied: ${RIGHTS}`,
  AllAccessDisabled: 'the bucket is disabled',
  AccountProblem: 'there is a problem with the account that owns it',
  NotSignedUp: 'there is a problem with the account that owns it',
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  InvalidToken: CREDENTIALS,
  ExpiredToken: 'the credentials have expired: renew them',
  PermanentRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  IllegalLocationConstraintException: REGION,
  RequestTimeTooSkewed: "this machine's clock is wrong: set it (NTP)",
  QuotaExceeded: FULL,
  XMinioStorageFull: FULL,
  EntityTooLarge: 'it does not take objects as large as this',
};
// Refusals that are about this one request, its body on the way, or its timing: the next may pass.
const PASSING = new Set(['RequestTimeout', 'IncompleteBody', 'BadDigest', 'NoSuchUpload', 'OperationAborted']);
const PASSING_STATUS = new Set([408, 409, 429]);
// Codes of S3 and of Node are single words. Anything else is a sentence, and may quote.
const WORD = /^[A-Za-z][A-Za-z0-9_]{2,60}$/;

/** Judges an error of the AWS SDK. */
export function s3Problem(error: unknown): S3Problem {
  const {
    name,
    code: reason,
    $metadata,
  } = (error ?? {}) as {
    readonly name?: unknown;
    readonly code?: unknown;
    readonly $metadata?: { readonly httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  if (status === undefined)
    return { code: word(reason) ?? word(name) ?? 'Error', says: unanswered(name), person: false };
  // An answer without a body of S3's own leaves only its status: a proxy's page, or a bucket of another region.
  const code = word(name) ?? String(status);
  const known = Object.hasOwn(FOR_A_PERSON, code) ? FOR_A_PERSON[code] : byStatus(status);
  if (known !== undefined) return { code, says: known, person: true };
  const passing = status < 300 || status >= 500 || PASSING_STATUS.has(status) || PASSING.has(code);
  return { code, says: `it answered ${status}`, person: !passing };
}

/** All of these may pass: a role is handed out by a service of its own, which can be away too. */
function unanswered(name: unknown): string {
  if (name === 'CredentialsProviderError') {
    return 'no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role';
  }
  return name === 'TimeoutError' || name === 'AbortError' ? 'it gives no answer' : 'it cannot be reached';
}

function byStatus(status: number): string | undefined {
  if (status === 301 || status === 307) return REGION;
  if (status === 401 || status === 403) return `access is denied: ${RIGHTS}`;
  return status === 507 ? FULL : undefined;
}

function word(value: unknown): string | undefined {
  return typeof value === 'string' && WORD.test(value) && value !== 'Error' && value !== 'UnknownError'
    ? value
    : undefined;
}
