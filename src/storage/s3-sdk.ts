/** The AWS SDK, which only those who keep results in S3 install. */
import type * as S3 from '@aws-sdk/client-s3';
import type { Upload } from '@aws-sdk/lib-storage';
import { proxyOf } from '../http/address.js';
import { StoreSettingError, type S3Settings } from './store.js';

export interface S3Sdk {
  readonly s3: typeof S3;
  readonly Upload: typeof Upload;
  readonly client: S3.S3Client;
}

// Variables, because a bundler looks for a module that is named in an import, and fails where it is not installed.
const CLIENT: string = '@aws-sdk/client-s3';
const UPLOADS: string = '@aws-sdk/lib-storage';

// An endpoint that is there answers in milliseconds; 5 s leave room for a lost packet.
const CONNECT_MS = 5_000;
// Silence on a connection. Some servers copy all parts of an upload before they answer its last call.
const SILENCE_MS = 60_000;
// Tries of the SDK, for a lost packet or throttling. A longer fault is retried by Temporal, where a person sees it.
const ATTEMPTS = 3;

/** @throws StoreSettingError where the SDK is not installed or has no region, InvalidAddress for a proxy that is none. */
export async function loadS3({ endpoint, pathStyle = false }: S3Settings): Promise<S3Sdk> {
  let sdk: Omit<S3Sdk, 'client'>;
  try {
    const s3 = (await import(CLIENT)) as typeof S3;
    const uploads = (await import(UPLOADS)) as { readonly Upload: typeof Upload };
    sdk = { s3, Upload: uploads.Upload };
  } catch (error) {
    // The second code is that of a program which a bundler has made CommonJS.
    if (!['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes(String((error as { code?: unknown }).code))) throw error;
    throw new StoreSettingError('a store in S3 needs the AWS SDK: npm install @aws-sdk/client-s3 @aws-sdk/lib-storage');
  }
  const proxy = proxyOf(process.env);
  const client = new sdk.s3.S3Client({
    ...(endpoint !== undefined && { endpoint }),
    forcePathStyle: pathStyle,
    maxAttempts: ATTEMPTS,
    requestHandler:
      proxy === null
        ? { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS }
        : // Loaded here: a command that only reads its settings starts without an HTTP client.
          (await import('./s3-proxy.js')).throughProxy(proxy, { connectMs: CONNECT_MS, silenceMs: SILENCE_MS }),
  });
  try {
    await client.config.region();
  } catch {
    throw new StoreSettingError(
      'a store in S3 needs a region: set AWS_REGION (an endpoint that has none takes us-east-1)',
    );
  }
  return { ...sdk, client };
}
