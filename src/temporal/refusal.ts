/** Answers by which Temporal refuses a call for its key, its client certificate or its namespace. Pure. */
import { isGrpcServiceError } from '@temporalio/client';
import type { NativeConnectionOptions } from '@temporalio/worker';
import { SettingsError } from '../config.js';

/** A refusal in the Service's own words. */
export interface Refusal {
  /** gRPC status: 7 where the caller lacks the right to this call, 16 where the Service does not accept who calls. */
  readonly code: number;
  readonly words: string;
}

export const PERMISSION_DENIED = 7;
export const UNAUTHENTICATED = 16;

// How the native client writes the two: in the failure to connect, and in the failure to make a Worker.
const NATIVE: readonly (readonly [number, RegExp])[] = [
  [PERMISSION_DENIED, /code: (?:'The caller does not have permission[^']*'|PermissionDenied), message: "([^"]*)"/],
  [UNAUTHENTICATED, /code: (?:'[^']*valid authentication credentials'|Unauthenticated), message: "([^"]*)"/],
];

/** The refusal in an error of either client; null for any other error. */
export function refusalOf(error: unknown): Refusal | null {
  if (!(error instanceof Error)) return null;
  const call = [error, error.cause].find((one) => isGrpcServiceError(one));
  if (call !== undefined) {
    const code = call.code as number;
    // The native client leaves the details empty.
    return code === PERMISSION_DENIED || code === UNAUTHENTICATED
      ? { code, words: call.details || call.message }
      : null;
  }
  if (error.name !== 'TransportError') return null;
  for (const [code, pattern] of NATIVE) {
    const [, words] = pattern.exec(error.message) ?? [];
    if (words !== undefined) return { code, words };
  }
  return null;
}

export type Credentials = Pick<NativeConnectionOptions, 'apiKey' | 'tls'>;

/** A refusal as a sentence that names the setting to correct. The key is never in it. */
export function refusalText({ code, words }: Refusal, address: string, namespace: string, used: Credentials): string {
  const { apiKey, tls } = used;
  const key = typeof apiKey === 'string' ? apiKey : '';
  const hasCertificate = typeof tls === 'object' && tls?.clientCertPair != null;
  const [setting, who, what] =
    key === '' && hasCertificate
      ? ['TEMPORAL_TLS_CLIENT_CERT_PATH', 'this client certificate', 'certificate']
      : ['TEMPORAL_API_KEY', key === '' ? 'calls without a key' : 'this key', 'key'];
  const said = (key === '' ? words : words.replaceAll(key, '[redacted]')) || 'no reason given';
  return `${setting}: Temporal at ${address} refuses ${who}: "${said}" (gRPC status ${code}). Set a ${what} that is valid for namespace "${namespace}" (TEMPORAL_NAMESPACE). Nothing was started.`;
}

// By name: the first is the SDK's, and the second is of a Worker whose run never settles.
const POLLS_REFUSED = new Set(['TransportError', 'WorkerFailed']);

/**
 * The error with which Workers end: a settings error where Temporal has refused their polls, which the SDK repeats for a
 * minute before, and otherwise the error as it is.
 */
export function endOfWorkers(error: unknown, address: string): unknown {
  if (!(error instanceof Error) || !POLLS_REFUSED.has(error.name)) return error;
  const { words } = refusalOf(error) ?? { words: error.message };
  return new SettingsError(
    `TEMPORAL_API_KEY, TEMPORAL_NAMESPACE: the Worker has ended, because Temporal at ${address} refuses its calls: "${words}". Workflows wait until a Worker runs again.`,
    { cause: error },
  );
}
