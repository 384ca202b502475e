import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { S3Server } from './s3-server.js';

/** The key of what an address or a URI in the bucket names. */
export function keyIn({ bucket }: S3Server, uri: string): string {
  return uri.slice(`s3://${bucket}/`.length);
}

/** Keys of the uploads that are under way, or were left, and that begin like this address. */
export async function uploadsIn(server: S3Server, address: string): Promise<string[]> {
  const asked = { Bucket: server.bucket, Prefix: keyIn(server, address) };
  const { Uploads = [] } = await server.client.send(new ListMultipartUploadsCommand(asked));
  return Uploads.map(({ Key = '' }) => Key);
}
