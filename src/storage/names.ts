/** Names in a store: safe on every file system, readable where possible, and no two of them alike. */
import { createHash } from 'node:crypto';
import type { StoreInput } from '../contract/index.js';

// A file system takes 255 bytes for a name; 100 leave room for the digest and stay readable.
const LONGEST = 100;
const LONGEST_PART = 255;

/** Name of a result, without its ending: `<workflow-id>/<n>`. A step lies in the folder of its parent. */
export function resultName({ workflowId }: Pick<StoreInput, 'workflowId'>, n: number): string {
  return [...workflowId.split('/').map(safeName), String(n)].join('/');
}

/** A text as one part of a name. A text that has to be changed gets a digest, so no two texts have the same name. */
export function safeName(text: string): string {
  const safe = text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[.-]+|[.]+$/g, '')
    .slice(0, LONGEST);
  const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(safe);
  // Some file systems fold case, so capitals need a digest too.
  if (safe === text && safe !== '' && !reserved && safe === safe.toLowerCase()) return safe;
  return `${safe || 'id'}-${shortDigest(text)}`;
}

/** 12 hex digits that tell two texts apart. */
export function shortDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/** The name itself. @throws TypeError where it could leave the store, or some file system does not take it. */
export function checkName(name: string): string {
  const wrong = name.split('/').some((part) => /^\.{0,2}$|[\\\0]/.test(part) || Buffer.byteLength(part) > LONGEST_PART);
  if (wrong) throw new TypeError(`Not a name in a store: ${JSON.stringify(name)}`);
  return name;
}
