/** References: the media that a generation is made from. Imports types only and contains no code. */
import type { MediaKind } from './activities.js';

/** The result of an earlier generation: a `GenerationResult`, or any object with these fields of it. */
export interface ReferenceOrigin {
  readonly taskId: string;
  readonly urls: readonly string[];
  readonly files?: readonly { readonly uri: string; readonly sha256: string }[];
}

/** A medium that a generation is made from. Exactly one of `path`, `uri`, `url` and `from` says where it is. */
export type ReferenceInput = ReferenceDetails & (Place<ByPath> | Place<ByUri> | Place<ByUrl> | Place<ByOrigin>);

interface ReferenceDetails {
  readonly kind: MediaKind;
  /** At most 255 characters. */
  readonly name?: string;
  /** For example `image/png`. A file of another type is refused. */
  readonly mimeType?: string;
  /** Above 0, at most 86,400. */
  readonly durationSeconds?: number;
}

interface ByPath {
  /** Absolute path of a file on the Worker, below one of its `RIVYA_REFERENCE_ROOTS`. */
  readonly path: string;
}
interface ByUri {
  /** URI of a file in the store of the Worker, as `files[n].uri` of a result. */
  readonly uri: string;
}
interface ByUrl {
  /** HTTPS address that Rivya fetches by itself, for models that take URLs. It is sent to the API unchanged. */
  readonly url: string;
  /** The token in the answer to an upload of your own. Uploads made by the Worker carry theirs. */
  readonly durationToken?: string;
}
interface ByOrigin {
  /** Result of an earlier step. Its stored file is used, or its link where there is no store. */
  readonly from: ReferenceOrigin;
  /** Which file of `from`. 0 to 99, default 0. */
  readonly file?: number;
}

/** The fields of one place, and none of another. */
type Place<Own> = Own & {
  readonly [Other in Exclude<keyof (ByPath & ByUri & ByUrl & ByOrigin), keyof Own>]?: undefined;
};

/** The place of a reference that the Worker uploads. */
export type ReferenceSource =
  | { readonly path: string }
  /** `sha256` where it is known already. */
  | { readonly uri: string; readonly sha256?: string }
  /** A result that is not stored. Its link may have expired: a status check of the task gives a new one. */
  | { readonly taskId: string; readonly file: number; readonly link: string };

/** The part of a request that the API's list of models can judge. */
export interface AskedOfList {
  readonly paid: 'task' | 'answer';
  readonly model: string;
  /** In characters; left out: not judged. */
  readonly promptLength?: number;
  /** What each param is in JSON: `string`, `number`, `boolean`, `object`, `array` or `null`. */
  readonly paramTypes: Readonly<Record<string, string>>;
}

export interface UploadInput {
  /** Place in the input, for messages: `references[0]`. */
  readonly field: string;
  readonly source: ReferenceSource;
  readonly kind: MediaKind;
  readonly model: string;
  /** The request that the upload is for; left out by older versions. */
  readonly asked?: AskedOfList;
  /** Names the receipts of the generation, as in `PaidCallInput`; left out by older versions. */
  readonly baseKey?: string;
  readonly name: string | null;
  /** The media type that the caller gives, or null. */
  readonly mimeType: string | null;
}

export interface UploadResult {
  /** SHA-256 of the bytes. It stands for the file in the digest of the request, because an upload can be repeated. */
  readonly sha256: string;
  readonly url: string;
  readonly durationToken: string | null;
  readonly durationSeconds: number | null;
  readonly fileId: string | null;
  readonly bytes: number;
  /** The media type by the first bytes of the file, or as the caller gives it where they do not say it. */
  readonly mimeType: string;
  /** The account of the upload: short digest of the API key, and base URL of the API. */
  readonly fingerprint: string;
  readonly api: string;
  /** True for an earlier upload of the same bytes, which is used again. */
  readonly remembered: boolean;
  readonly simulated: boolean;
}
