import type * as S3 from '@aws-sdk/client-s3';
import type { Upload } from '@aws-sdk/lib-storage';
import { StoreSettingError, type S3Settings } from './store.js';

export interface S3Sdk {
  readonly s3: typeof S3;
  readonly Upload: typeof Upload;
  readonly client: S3.S3Client;
}

// The first answer of an endpoint that is there comes in milliseconds; 5 s leave room for a lost packet.
const CONNECT_MS = 5_000;
// Nothing moves for so long: the connection is dead. Some servers copy all the parts before they answer the last call.
const SILENCE_MS = 60_000;
// Lost packets and throttling pass at once or not: what lasts longer is retried by Temporal, where a person sees it.
const ATTEMPTS = 3;

/** The AWS SDK, which only those who keep results in S3 install, and a client. @throws StoreSettingError */
export async function loadS3({ endpoint, pathStyle = false }: S3Settings): Promise<S3Sdk> {
  let sdk: Omit<S3Sdk, 'client'>;
  try {
    const [s3, uploads] = await Promise.all([import('@aws-sdk/client-s3'), import('@aws-sdk/lib-storage')]);
    sdk = { s3, Upload: uploads.Upload };
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new StoreSettingError('a store in S3 needs the AWS SDK: npm install @aws-sdk/client-s3 @aws-sdk/lib-storage');
  }
  const client = new sdk.s3.S3Client({
    ...(endpoint !== undefined && { endpoint }),
    forcePathStyle: pathStyle,
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
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
