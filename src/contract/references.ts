import type { MediaKind } from './activities.js';

/** What of an earlier result a reference needs: a `GenerationResult`, or any object that has these fields of it. */
export interface ReferenceOrigin {
  readonly taskId: string;
  readonly urls: readonly string[];
  readonly files?: readonly { readonly uri: string; readonly sha256: string }[];
}

/** Media that a generation is made from. Exactly one of `path`, `uri`, `url` and `from` says where it is. */
export interface ReferenceInput {
  /** Absolute path of a file on the Worker, below one of its `RIVYA_REFERENCE_ROOTS`. */
  readonly path?: string;
  /** URI of a file in the store of the Worker, as `files[n].uri` of a result. */
  readonly uri?: string;
  /** HTTPS address that Rivya fetches by itself, for models that take URLs. It goes to the API as it is. */
  readonly url?: string;
  /** Result of an earlier step. Its stored file is used, or its link where there is no store. */
  readonly from?: ReferenceOrigin;
  /** Which file of `from`. 0 to 99, default 0. */
  readonly file?: number;
  readonly kind: MediaKind;
  /** At most 255 characters. */
  readonly name?: string;
  /** For example `image/png`. A file of another type than it says is refused. */
  readonly mimeType?: string;
  /** Above 0, at most 86,400. */
  readonly durationSeconds?: number;
  /** With `url` only: what an upload of your own was answered with. Uploads made here carry theirs. */
  readonly durationToken?: string;
}

/** Where the Worker finds the bytes of a reference that it uploads. */
export type ReferenceSource =
  | { readonly path: string }
  /** `sha256` where it is known already. */
  | { readonly uri: string; readonly sha256?: string }
  /** A result that is not stored: its link may have expired, and the task tells a new one. */
  | { readonly taskId: string; readonly file: number; readonly link: string };

export interface UploadInput {
  /** Place in the input, for messages: `references[0]`. */
  readonly field: string;
  readonly source: ReferenceSource;
  readonly kind: MediaKind;
  readonly model: string;
  readonly name: string | null;
  /** What the caller says of its type, or null. */
  readonly mimeType: string | null;
}

export interface UploadResult {
  /** Of the bytes. It stands for the file in the digest of the request, because an upload can be repeated. */
  readonly sha256: string;
  readonly url: string;
  readonly durationToken: string | null;
  readonly durationSeconds: number | null;
  readonly fileId: string | null;
  readonly bytes: number;
  /** By the signature of the file. */
  readonly mimeType: string;
  /** Whose upload it is: short digest of the API key, and base URL of the API. */
  readonly fingerprint: string;
  readonly api: string;
  /** True when it was uploaded before, and not again. */
  readonly remembered: boolean;
  readonly simulated: boolean;
}
