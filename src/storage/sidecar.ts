/** Sidecars: the file `<n>.json` beside each result, with its prompt, digest, source and price. They hold no signature. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { StoredFile, StoreInput } from '../contract/index.js';
import { jsonText } from './texts.js';

const VERSION = 1;

/** The n-th result (from 1) of a task, and the namespace of its Workflow. */
export interface Result {
  readonly input: StoreInput;
  readonly n: number;
  readonly namespace: string;
}

/** `full`: sidecars hold prompt and params; `digest`: only their SHA-256. */
export type SidecarPrompts = 'full' | 'digest';

/** The fields of a sidecar that are read again; the others are for people and other programs. */
export const Sidecar = z.object({
  version: z.literal(VERSION),
  taskId: z.string(),
  uri: z.string(),
  bytes: z.number(),
  sha256: z.string(),
  contentType: z.string().nullable(),
  sourceUrl: z.string(),
});
export type Sidecar = z.infer<typeof Sidecar>;

export function sidecarText(file: StoredFile, { input, n, namespace }: Result, prompts: SidecarPrompts): string {
  const { taskId, workflowId, about } = input;
  const { body, model, ...paid } = about;
  const place = { namespace, workflowId, storedAt: new Date().toISOString() };
  return jsonText({ version: VERSION, model, ...requestOf(body, prompts), taskId, n, ...file, ...place, ...paid });
}

/** Prompt and params of a request body, or their digests. */
function requestOf(body: string, prompts: SidecarPrompts): Record<string, unknown> {
  const { prompt = null, params = null } = JSON.parse(body, withoutQueries) as { prompt?: string; params?: object };
  if (prompts === 'full') return { prompt, params };
  const digest = (value: unknown): string | null =>
    value === null ? null : createHash('sha256').update(JSON.stringify(value)).digest('hex');
  return { promptSha256: digest(prompt), paramsSha256: digest(params) };
}

/** Takes the queries out of links to references: a signature is a secret. */
function withoutQueries(_key: string, value: unknown): unknown {
  const isLink = typeof value === 'string' && /^https?:\/\/\S+$/i.test(value) && URL.canParse(value);
  return isLink ? withoutQuery(value) : value;
}

/** A link without its query and fragment, which may carry a signature, and without credentials. */
export function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
