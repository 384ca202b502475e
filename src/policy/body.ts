/**
 * The bodies of requests: the bytes that an attempt sends, and the digest by which requests are compared. It guarantees
 * the same bytes for the same input in every release (`test/golden`): the order of the fields never changes. Input
 * checks, Workflows and Activities call it.
 */
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { GenerationRequest, UploadResult } from '../contract/index.js';
import { isPlainObject } from './fields.js';
import { digestOf } from './key.js';
import { contentItems, mediaItems, type Reference } from './references.js';

/** Where the API wants references. */
export const REFERENCE_ITEMS = 'referenceMediaItems';

/**
 * The body of `POST /api/v1/generations`. The fields of `params` are sorted by name, so the order in which a program writes
 * them makes no other request.
 */
export function requestBody(request: {
  model: string;
  prompt: string | null;
  params: Readonly<Record<string, unknown>> | null;
  clientRequestId: string | null;
}): string {
  return JSON.stringify({
    model: request.model,
    ...(request.prompt !== null && { prompt: request.prompt }),
    ...(request.params && { params: sorted(request.params) }),
    ...(request.clientRequestId !== null && { client_request_id: request.clientRequestId }),
  });
}

/** JSON with the names of each object sorted; lists keep their order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isPlainObject(value)) return value;
  const names = Object.keys(value).toSorted();
  return Object.fromEntries(names.map((name) => [name, sorted(value[name])]));
}

/** The request of a generation with references. */
export interface SubmitRequest {
  readonly body: string;
  /** Digest with the references by their content: a file that is uploaded again has another address, and is the same file. */
  readonly digest: string;
  /** Addresses in the body that came from uploads; all others came from the caller. */
  readonly uploadUrls: readonly string[];
}

type Body = Pick<GenerationRequest, 'model' | 'prompt' | 'params'> & { readonly client_request_id?: string };

/**
 * Adds the references to the params of a request.
 * @param uploads - One for each reference, null for a reference that is sent by its URL.
 */
export function requestWith(
  body: string,
  references: readonly Reference[],
  uploads: readonly (UploadResult | null)[],
): SubmitRequest {
  const { model, prompt = null, params = {}, client_request_id: clientRequestId = null } = JSON.parse(body) as Body;
  const bodyWith = (items: readonly object[]): string =>
    requestBody({ model, prompt, params: { ...params, [REFERENCE_ITEMS]: items }, clientRequestId });
  return {
    body: bodyWith(mediaItems(references, uploads)),
    digest: digestOf(bodyWith(contentItems(references, uploads))),
    uploadUrls: uploads.flatMap((upload) => (upload === null ? [] : [upload.url])),
  };
}

/** The addresses of the references in a request body, also of those that a caller wrote into the params by hand. */
export function referenceUrls(body: string): readonly string[] {
  const items = (JSON.parse(body) as Body).params?.[REFERENCE_ITEMS];
  if (!Array.isArray(items)) return [];
  return items.map((item) => String((item as { url?: unknown } | null)?.url));
}

/** The size of a value in a payload of Temporal: its bytes as JSON in UTF-8. */
export function jsonBytes(value: unknown): number {
  return utf8ToBytes(JSON.stringify(value)).length;
}
