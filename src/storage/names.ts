import { createHash } from 'node:crypto';
import type { StoreInput } from '../contract/index.js';

// A file system takes 255 bytes for a name; 100 leave room for the digest and stay readable.
const LONGEST = 100;
const LONGEST_PART = 255;

/**
 * Name of a result below the store, without its ending: `<workflow-id>/<n>`, so that no two generations share a name. A
 * step of a pipeline lies in the folder of its parent.
 */
export function resultName({ workflowId }: Pick<StoreInput, 'workflowId'>, n: number): string {
  return [...workflowId.split('/').map(safeName), String(n)].join('/');
}

/** A text as one safe name on any file system. A text that has to be changed gets a digest, so no two meet. */
export function safeName(text: string): string {
  const safe = text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[.-]+|[.]+$/g, '')
    .slice(0, LONGEST);
  const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(safe);
  // Some file systems fold case, so a name with capitals is told apart by its digest as well.
  if (safe === text && safe !== '' && !reserved && safe === safe.toLowerCase()) return safe;
  return `${safe || 'id'}-${shortDigest(text)}`;
}

/** Tells two names apart, and is short enough to be read out. */
export function shortDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/** @throws TypeError for a name that could leave the store, or that some file system does not take. */
export function checkName(name: string): string {
  const wrong = name.split('/').some((part) => /^\.{0,2}$|[\\\0]/.test(part) || Buffer.byteLength(part) > LONGEST_PART);
  if (wrong) throw new TypeError(`Not a name in a store: ${JSON.stringify(name)}`);
  return name;
}
