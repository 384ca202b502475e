/** Settings of each switch that has a few; the first is the default. A switch decides what the documentation leaves open. */
export const SWITCH_VALUES = {
  /** HTTP status of an accepted create. */
  createStatus: [201, 200, 202],
  /** Body of an accepted create: the whole task, or as on the developers' page, without `final_credits` and times. */
  createBody: ['full', 'short'],
  /** Params in the list of models, whose form is not published: none, as in its example; by `key`, by `name`, or by `id` beside a `name` for people; in another form. */
  modelParams: ['none', 'key', 'name', 'id', 'other'],
  /** The list of models: all of them, or the first page, which says that there are more. */
  modelList: ['whole', 'firstPage'],
  /** Body of a repeated create: the one that was stored, or the task as it is now. */
  replay: ['stored', 'current'],
  /** Whether a refusal of body or credits is stored under its idempotency key and given again, with its `requestId`. */
  storeRefusals: [false, true],
  /** The same for HTTP 500. */
  storeServerErrors: [false, true],
  /** Answer to a POST while the first one with its key still runs: 409, the first one's answer when it is there, or at once. */
  concurrentPost: ['conflict', 'wait', 'replay'],
  /** Owner of an idempotency key. */
  keyScope: ['apiKey', 'account'],
  /** Links of a result: all, `primary_url` alone, or a null `primary_url` with an empty list. */
  urls: ['present', 'missing', 'none'],
  /** Error object of a failed task. */
  errorOnFailed: ['present', 'null'],
  /** Refusal of a chat in a session that does not exist. */
  unknownSession: ['notFound', 'conflict'],
  /** Answer to a chat with another model than its session began with. */
  otherModelInSession: ['conflict', 'allow'],
  /** Answer to a chat while its session answers another one. */
  busySession: ['conflict', 'allow'],
  /** Attachments of a chat: any file ID, or only files that were uploaded here. */
  chatFiles: ['any', 'known'],
  /** Form of `Retry-After` on 429 and 503. The documentation does not mention the header. */
  retryAfter: ['none', 'seconds', 'date'],
  /** HTTP status of an upload. */
  fileStatus: [201, 200],
  /** Body of an upload: all fields of the file, or `url` and `duration_token` alone. */
  fileBody: ['full', 'short'],
  /** Address of the same bytes when they are uploaded again: another one, or the first one. */
  fileAgain: ['new', 'same'],
  /** Whether a reference to video or audio must carry its `durationToken`. A wrong one is refused in any case. */
  durationToken: ['optional', 'required'],
} as const;

/** Switches in milliseconds of the emulator's clock, with their defaults. */
const MILLISECONDS = {
  /** How long an idempotency key is remembered. */
  keyLifetimeMs: Infinity,
  /** How long a succeeded task shows no result after its end. */
  resultLagMs: 0,
  /** How long the links of a result work after its status was last asked for. */
  linkLifetimeMs: Infinity,
  /** Error of the API's clock: it moves the `Date` header and all times of tasks, not their ageing. */
  clockOffsetMs: 0,
  /** How long an upload can be referred to. */
  fileLifetimeMs: Infinity,
};

type Chosen = { readonly [Name in keyof typeof SWITCH_VALUES]: (typeof SWITCH_VALUES)[Name][number] };

/** What the documentation leaves open. A client must work with every setting. */
export type EmulatorSwitches = Chosen & Readonly<typeof MILLISECONDS>;

const FIRST = Object.fromEntries(Object.entries(SWITCH_VALUES).map(([name, [first]]) => [name, first]));

export const DEFAULT_SWITCHES: EmulatorSwitches = { ...(FIRST as unknown as Chosen), ...MILLISECONDS };

/** @throws TypeError naming the switch that does not exist or has no such setting. */
export function withSwitches(current: EmulatorSwitches, changes: Partial<EmulatorSwitches>): EmulatorSwitches {
  for (const [name, value] of Object.entries(changes)) {
    if (!Object.hasOwn(DEFAULT_SWITCHES, name)) {
      throw new TypeError(`The emulator has no switch "${name}"; it has ${Object.keys(DEFAULT_SWITCHES).join(', ')}.`);
    }
    const values = (SWITCH_VALUES as Readonly<Record<string, readonly unknown[]>>)[name];
    if (values === undefined ? typeof value !== 'number' : !values.includes(value)) {
      const choice = values?.map(String).join(', ') ?? 'a number of milliseconds';
      throw new TypeError(`The switch "${name}" cannot be ${JSON.stringify(value)}; it takes ${choice}.`);
    }
  }
  return { ...current, ...changes };
}
