import { createHash, randomBytes } from 'node:crypto';

/** A new random ID with this prefix, for example `task_…`. */
export function newId(prefix: string): string {
  return `${prefix}_${randomBytes(10).toString('hex')}`;
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
