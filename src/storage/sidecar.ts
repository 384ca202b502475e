/** The file `<n>.json` beside each result: what it is, where it came from and what it cost. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { StoredFile, StoreInput } from '../contract/index.js';

const VERSION = 1;

/** The n-th result (from 1) of a task, and the namespace of its Workflow. */
export interface Result {
  readonly input: StoreInput;
  readonly n: number;
  readonly namespace: string;
}

/** Whether sidecars hold the prompt and params themselves, or only their digests. */
export type SidecarPrompts = 'full' | 'digest';

/** What is read of a sidecar again; the rest is for people and other programs. */
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

export function sidecarText(
  file: StoredFile,
  { input, n, namespace }: Result,
  { prompts, storedAt }: { readonly prompts: SidecarPrompts; readonly storedAt: Date },
): string {
  const { taskId, workflowId, about } = input;
  const { body, model, ...paid } = about;
  const place = { namespace, workflowId, storedAt: storedAt.toISOString() };
  const facts = { version: VERSION, model, ...askedFor(body, prompts), taskId, n, ...file, ...place, ...paid };
  return `${JSON.stringify(facts, null, 2)}\n`;
}

/** Prompt and params of a request body, or their digests. */
function askedFor(body: string, prompts: SidecarPrompts): Record<string, unknown> {
  const { prompt = null, params = null } = JSON.parse(body, withoutQueries) as { prompt?: string; params?: object };
  if (prompts === 'full') return { prompt, params };
  const digest = (value: unknown): string | null =>
    value === null ? null : createHash('sha256').update(JSON.stringify(value)).digest('hex');
  return { promptSha256: digest(prompt), paramsSha256: digest(params) };
}

/** Links to references may be signed, and a signature is a secret. */
function withoutQueries(_key: string, value: unknown): unknown {
  return typeof value === 'string' && /^https?:\/\/\S+$/i.test(value) && URL.canParse(value)
    ? withoutQuery(value)
    : value;
}

/** A link without its query and fragment, which may carry a signature, and without credentials. */
export function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
