import { readdir, utimes } from 'node:fs/promises';
import path from 'node:path';
import { ListMultipartUploadsCommand, type MultipartUpload } from '@aws-sdk/client-s3';
import type { S3Server } from './s3-server.js';

/** The key of what an address or a URI in the bucket names. */
export function keyIn({ bucket }: S3Server, uri: string): string {
  return uri.slice(`s3://${bucket}/`.length);
}

/** Keys of the uploads that are under way, or were left, and that begin like this address. */
export async function uploadsIn(server: S3Server, address: string): Promise<string[]> {
  return (await uploads(server, keyIn(server, address))).map(({ Key = '' }) => Key);
}

/** Makes uploads five days old: to the server, they are as old as their folders. */
export async function ageUploads(server: S3Server, keys: readonly string[]): Promise<void> {
  const fiveDaysAgo = new Date(Date.now() - 120 * 3_600_000);
  const found = await uploads(server, '');
  const ids = new Set(found.filter(({ Key = '' }) => keys.includes(Key)).map(({ UploadId }) => UploadId));
  for (const entry of await readdir(server.folder, { recursive: true, withFileTypes: true })) {
    if (ids.has(entry.name)) await utimes(path.join(entry.parentPath, entry.name), fiveDaysAgo, fiveDaysAgo);
  }
}

async function uploads({ client, bucket }: S3Server, Prefix: string): Promise<MultipartUpload[]> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix }));
  return Uploads;
}
