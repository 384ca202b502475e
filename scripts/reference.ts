/**
 * The page docs/reference.md, made from the code: settings, fields of input and result, exit statuses, and each failure type
 * and error code with an example that the code itself has worded. `npm run reference` writes it; `test/docs` fails while it
 * is stale.
 */
import { ActivityFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { z } from 'zod';
import { callFailure, finalFailure } from '../activities/failure.js';
import { checkPolicy } from '../activities/policy.js';
import { checkBudget } from '../activities/price.js';
import { inputChanged, unresolved } from '../activities/submit-failure.js';
import { readReply } from '../src/api/reply.js';
import { RivyaApiError } from '../src/api/index.js';
import { advice, commands } from '../src/cli/advice.js';
import { holdText, STATUS } from '../src/cli/errors.js';
import { Environment } from '../src/config.js';
import {
  ERROR_CODES,
  errorCodeRow,
  FAILURE,
  failureEnd,
  STOPPED,
  type ENDED_BY_OTHERS,
  type ErrorCode,
  type FailureType,
  type GenerationState,
  type TaskSnapshot,
} from '../src/contract/index.js';
import { InvalidInput, judgeCheck, judgeSubmit, readInput, stateAtStart } from '../src/policy/index.js';
import {
  actionFor,
  callEnd,
  callFailed,
  deadlinePassed,
  generationFailed,
  resultMissing,
  asUnavailable,
  type CallEnd,
} from '../workflows/failure.js';
import { jsonSchemas } from './schemas.js';

const TASK_ID = 'task_4d26f2e514d30a9808ed';
const KEY = 'fox-b00d31750446e91b6ac71771f008cfc0f30574cd';
const input = readInput({ model: 'z-image', prompt: 'A red fox' });
const start: GenerationState = { ...stateAtStart({ model: 'z-image', baseKey: KEY }), idempotencyKey: KEY };
const paid: GenerationState = { ...start, taskId: TASK_ID, status: 'processing', reservedCredits: 1, finalCredits: 0 };
const task: TaskSnapshot = {
  taskId: TASK_ID,
  status: 'processing',
  model: 'z-image',
  kind: 'image',
  reservedCredits: 1,
  finalCredits: 0,
  createdAt: null,
  updatedAt: null,
  ageMs: null,
  urls: [],
  error: { code: 'generation_failed', message: 'The generation failed.' },
  simulated: false,
  requestId: null,
};

const settings: Readonly<Record<keyof typeof Environment.shape, string>> = {
  RIVYA_API_KEY: 'the API key. Only a Worker with the role `api` needs it',
  RIVYA_API_KEY_FILE: 'a file with the key instead, read again each minute and after a 401',
  RIVYA_BASE_URL: 'where the API is: HTTPS, or HTTP to this machine',
  RIVYA_RATE_LIMIT_PER_MINUTE: 'calls a minute for this key, over all Workers of the task queue; 1 to 100000',
  RIVYA_TASK_QUEUE: 'Workflows and results; calls to the API run on `<name>-api`',
  RIVYA_WORKER_ROLES: 'what this process runs',
  RIVYA_STORE: '`file:<directory>` or `s3://bucket/prefix` ([results](results.md)); left out: results stay links',
  RIVYA_S3_ENDPOINT:
    '`http(s)://host[:port]` of a service that speaks the protocol of S3; left out: as the AWS SDK is set',
  RIVYA_S3_PATH_STYLE: '`1`: `https://host/bucket`, as most services other than AWS want it',
  RIVYA_TRUSTED_RESULT_HOSTS: '`host[:port]`, comma separated: result hosts that may be private or plain HTTP',
  RIVYA_MAX_RESULT_BYTES: 'largest result that is stored, in bytes',
  RIVYA_SIDECAR_PROMPTS: '`digest`: the files beside results hold digests of prompt and params',
  RIVYA_SUMMARY_PROMPTS:
    '`0`: no summary of a generation in the Temporal UI holds its prompt ([operating](operating.md#what-one-generation-says))',
  RIVYA_POLICY_FILE: 'what may be paid for, whatever an input says ([spending policy](workers.md#spending-policy))',
  RIVYA_REFERENCE_ROOTS: 'absolute directories, comma separated: references by `path` are read below them only',
  RIVYA_UI_URL: 'base of the links into the Temporal UI; the embedded server has its own',
  RIVYA_ENCRYPTION_KEYS:
    '`<id>:<32 bytes in Base64>`, comma separated: encrypts what Temporal keeps with the first key, decrypts with each ([encryption](encryption.md))',
  RIVYA_ENCRYPTION_KEYS_FILE: 'a file with these keys instead, read at start',
  RIVYA_CODEC_TOKEN: 'token of `codec-server`, 16 to 256 characters; left out: a new one at each start',
  RIVYA_PATIENCE:
    'seconds of delay that one status call is worth: the more, the fewer calls; `0`: a fixed schedule ([performance](performance.md))',
  RIVYA_DEPLOYMENT_NAME:
    'name of the Worker Deployment of this process, beside `RIVYA_BUILD_ID` ([deploying](deploying.md))',
  RIVYA_BUILD_ID: 'its version: Workflows stay with the one that they began on',
  RIVYA_METRICS_ADDRESS:
    'IP address and port at which a Worker process serves `/metrics` for Prometheus ([monitoring](monitoring.md))',
  RIVYA_OTLP_URL: 'URL of an OpenTelemetry collector that takes the metrics by OTLP over gRPC instead',
  RIVYA_HEALTH_ADDRESS: 'IP address and port at which a Worker process serves `/healthz` and `/readyz`',
};

const OTHER_SETTINGS = {
  'HTTPS_PROXY, NO_PROXY': 'honoured for the API, for downloads and for a store in S3; plain HTTP is never proxied',
  'TEMPORAL_*': "Temporal's own: address, namespace, TLS, API key, profile",
  TEMPORAL_CLI_PATH: 'the `temporal` binary of the embedded server; left out: it is looked for, then fetched',
  RIVYA_NO_DOWNLOAD: '`1`: never fetch that binary',
  RIVYA_DEBUG: '`1`: the command prints the stack of an error',
};

const statuses: Readonly<Record<keyof typeof STATUS, string>> = {
  done: 'done',
  failed: 'the generation, or one of many, failed',
  usage: 'wrong usage, input or settings, or no such ID: nothing was paid',
  unreachable: 'Temporal or the API cannot be reached',
  held: 'held: a person must act',
  unread: 'something could not be read; the rest is complete',
  interrupted: 'interrupted: the work goes on',
};

/** One failure type: what it means, what to do, and how it looks on the command line. */
interface Entry {
  readonly means: string;
  readonly example: () => string | Promise<string>;
}

const failed = (message: string): string => `fox did not succeed: ${advice(message)}`;
const held = (end: CallEnd): string =>
  `fox waits until a person acts: ${holdText({ code: end.code, message: end.message, action: actionFor(end) })}`;

/** The end of a call whose Activity fails so, as the Workflow gets it. */
async function endOf(fail: () => unknown): Promise<CallEnd> {
  const error: unknown = await new MockActivityEnvironment()
    .run(async () => fail())
    .catch((failure: unknown) => failure);
  return callEnd(new ActivityFailure('', 'rivyaSubmit', '1', 'NON_RETRYABLE_FAILURE', 'worker', error as Error));
}

function thrown(error: Error): never {
  throw error;
}

const failures: Readonly<Record<FailureType, Entry>> = {
  GenerationFailed: {
    means:
      'The task ended `failed` at Rivya. The message says what it cost. Repeat it only if the input is right: a larger `options.maxAttempts` under the same Workflow ID pays for another try.',
    example: () => failed(generationFailed(task, { ...paid, status: 'failed' }, input).message),
  },
  DeadlinePassed: {
    means:
      'Rivya did not end the task within `options.deadline`, or accepted nothing within `options.submitDeadline`. The task goes on and is paid: the printed command waits for it again, without paying.',
    example: () => failed(deadlinePassed(task, 6.1 * 3_600_000, paid, input).message),
  },
  InvalidInput: {
    means: 'The input is wrong. The message begins with the field. Nothing was sent and nothing was paid.',
    example: () => new InvalidInput('model', 'is missing; name a public model ID, for example "z-image"').message,
  },
  InputChanged: {
    means:
      'The Workflow ID, or the idempotency key, belongs to another input. Nothing was paid for this one. For a variation use another Workflow ID or step name.',
    example: async () =>
      failed(callFailed(await endOf(() => thrown(inputChanged({ idempotencyKey: KEY }, 'task'))), start).message),
  },
  SubmitUnresolved: {
    means:
      'A submit has had no answer for `options.idempotencyWindow`, or the API key has changed since. **A task may exist and may have been paid for**, so only a person decides ([how](operating.md#an-unanswered-submit)). It is never tried again by itself.',
    example: async () => {
      const open = { firstPostedAt: Date.UTC(2026, 0, 5, 9, 30), fingerprint: 'a1b2c3d4' };
      const why = 'its answer is still unknown after 12 h, and the API may have forgotten the key';
      return held(await endOf(() => thrown(unresolved({ idempotencyKey: KEY }, open, why, 'task'))));
    },
  },
  ResultMissing: {
    means: 'The task succeeded and was paid, and the API names no link to its result.',
    example: () => failed(resultMissing(task, { ...paid, status: 'succeeded', finalCredits: 1 }, input).message),
  },
  ResultUnavailable: {
    means:
      'The task succeeded and was paid; its files are not stored yet. Correct what the message names, or have it stored as it is; `hold.link` is its link; nothing is paid again ([results](results.md#when-something-is-in-the-way)).',
    example: async () => {
      const action = 'Free some space, then resume.';
      const end = await endOf(() =>
        thrown(finalFailure(FAILURE.ResultUnavailable, 'The store file:/data/rivya is full.', { action })),
      );
      return held(asUnavailable(end, task));
    },
  },
  ReferenceUnavailable: {
    means: 'A reference cannot be read for now. Nothing was paid. It is tried again by itself, too.',
    example: async () => {
      const action = 'Nothing was paid. Make it readable for the Worker, then resume.';
      const problem = 'references[0].uri: s3://media/fox.png has given nothing for 1 min: it hangs.';
      return held(await endOf(() => thrown(finalFailure(FAILURE.ReferenceUnavailable, problem, { action }))));
    },
  },
  BudgetReached: {
    means: 'The starting price of the model is above `options.maxCredits`. Nothing was sent.',
    example: async () => {
      const prices = { basePrice: async () => 6 };
      const end = await endOf(() => checkBudget(4, { model: 'sora-2', attempt: 1 }, prices));
      return failed(callFailed(end, start).message);
    },
  },
  PolicyDenied: {
    means: 'The [spending policy](workers.md#spending-policy) of the Worker forbids it. Nothing was sent.',
    example: async () => {
      const rules = { maxCreditsPerGeneration: null, stores: null, references: null };
      const policy = { source: '/etc/rivya/policy.json', models: ['z-image'], ...rules };
      const end = await endOf(() => checkPolicy({ policy, basePrice: async () => 6 }, { model: 'sora-2' }));
      return failed(callFailed(end, start).message);
    },
  },
};

const ended: Readonly<Record<(typeof ENDED_BY_OTHERS)[number], string>> = {
  Cancelled:
    'Somebody cancelled the Workflow. The API has no cancel: a task that exists goes on and is paid, and `rivya-temporal recover` waits for it again.',
  Terminated:
    'Somebody terminated the Workflow. A submit under way may still make a task. `recover`, or the same start.',
  TimedOut: 'A timeout that was set for the Workflow ended it. A task goes on and is paid: `recover`.',
};

// Where a code does not always lead to what the table says.
const NOTES: Partial<Record<ErrorCode, string>> = {
  not_found:
    'Of a task of your own it is repeated within a minute of the submit and then **held**; for a `taskId` that you gave it fails.',
  idempotency_conflict:
    'It fails as [`InputChanged`](#inputchanged). After an unanswered POST it is repeated within the window, then held.',
  chat_session_conflict: 'After an unanswered POST of the same chat it is repeated.',
};

const CHATS: readonly ErrorCode[] = [
  'chat_model_not_supported',
  'chat_session_conflict',
  'chat_attachment_not_supported',
];

/** The error of a call that the API refuses with this code. */
function refusal(code: ErrorCode): RivyaApiError {
  const { httpStatus, meaning } = ERROR_CODES[code];
  const body = Buffer.from(JSON.stringify({ error: { code, message: meaning, requestId: 'req_7f3a' } }));
  const path = CHATS.includes(code) ? '/api/v1/chat/completions' : '/api/v1/generations';
  const call =
    code === 'not_found'
      ? ({ method: 'GET', path: `${path}/${TASK_ID}`, key: null, purpose: 'reading' } as const)
      : ({ method: 'POST', path, key: null, purpose: CHATS.includes(code) ? 'answer' : 'task' } as const);
  try {
    readReply({ httpStatus, headers: {}, body }, call, z.unknown());
  } catch (error) {
    if (error instanceof RivyaApiError) return error;
  }
  throw new TypeError(`${code} was no refusal`);
}

/** The stop switch, as a Worker that reads it refuses a submit. */
async function stopped(): Promise<string> {
  const { meaning, action } = errorCodeRow(STOPPED, null);
  const means = `Held, also with \`onActionNeeded: "fail"\`. ${meaning} It goes on by itself once submits are allowed again.`;
  return entry(
    STOPPED,
    means,
    held(await endOf(() => thrown(finalFailure(STOPPED, 'Stopped: too dear.', { action })))),
  );
}

async function exampleOf(code: ErrorCode): Promise<string> {
  const error = refusal(code);
  const verdict = code === 'not_found' ? judgeCheck(error) : judgeSubmit(error, false);
  if (verdict.retry) return `fox: ${error.message} ${failureEnd(verdict.code, verdict.row.action)}`;
  if (code === 'idempotency_conflict') return failures.InputChanged.example();
  const facts = { idempotencyKey: KEY };
  const end = await endOf(() => thrown(callFailure(error, verdict, facts)));
  if (verdict.row.actor === 'operator') return held(end);
  const answer = CHATS.includes(code);
  return failed(callFailed(end, start, answer ? 'answer' : 'task').message);
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

const code = (text: string): string => `\`${text}\``;

/** A default as a variable holds it. */
function defaultOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  const text = Array.isArray(value) ? value.join(',') : JSON.stringify(value).replaceAll('"', '');
  return text === '' ? '' : code(text);
}

/** Fields of a JSON Schema with what each is for. */
function fieldsOf(schema: object, prefix = ''): string[][] {
  const { properties = {} } = schema as { properties?: Record<string, { description?: string }> };
  return Object.entries(properties).map(([name, { description = '' }]) => [code(prefix + name), description]);
}

/** The one object in a schema that may be null as well. */
function inner(schema: unknown): object {
  const { anyOf } = schema as { anyOf: [{ items?: object }] };
  return anyOf[0].items ?? anyOf[0];
}

function entry(name: string, means: string, example: string): string {
  // The page is the same where the command is installed for all.
  return `### ${name}\n\n${means}<br>${code(commands(example, false))}`;
}

export async function referencePage(): Promise<string> {
  type Schema = { readonly properties: Readonly<Record<string, unknown>> };
  const schemas = jsonSchemas() as Record<'generate-media-input.json' | 'generate-media-result.json', Schema>;
  const fields = schemas['generate-media-input.json'];
  const { options, references } = fields.properties;
  const defaults = Environment.parse({}) as Record<string, unknown>;
  const codes = await Promise.all(
    Object.entries(ERROR_CODES).map(async ([name, { httpStatus, meaning, actor, retried }]) => {
      const outcome = retried ? 'repeated with back-off' : actor === 'operator' ? 'held' : 'failed';
      const note = NOTES[name as ErrorCode];
      const means = `HTTP ${httpStatus}, ${outcome}. ${meaning}${note === undefined ? '' : ` ${note}`}`;
      return entry(name, means, await exampleOf(name as ErrorCode));
    }),
  );
  const ours = await Promise.all(
    Object.entries(failures).map(async ([name, { means, example }]) => entry(name, means, await example())),
  );
  const byOthers = Object.entries(ended).map(([name, means]) => `### ${name}\n\n${means}`);
  return `${[
    '# Reference',
    'Made from the code by `npm run reference`. Every failure message ends with the place on this page that explains it.',
    '## Settings',
    'Of the Worker, the command line and `dev`. An empty variable counts as not set; all wrong values are named in one error at start, and a name that is no setting is a warning. In code they are options of `RivyaPlugin` and `createRivyaWorkers` ([workers](workers.md)).',
    table(
      ['variable', 'default', 'meaning'],
      [
        ...Object.entries(settings).map(([name, meaning]) => [code(name), defaultOf(defaults[name]), meaning]),
        ...Object.entries(OTHER_SETTINGS).map(([name, meaning]) => [
          name.split(', ').map(code).join(', '),
          '',
          meaning,
        ]),
      ],
    ),
    '## Exit statuses',
    `${Object.entries(STATUS)
      .map(([name, status]) => `**${status}** ${statuses[name as keyof typeof STATUS]}`)
      .join(' · ')}.`,
    '## Input of a generation',
    'One JSON object, for `generate`, `GenerationClient` and the Workflow `generateMedia` alike. Null counts as left out. The types of the package refuse what is wrong by its form: a length of time that is not known before the program runs is given as `text as Duration`, and options that are kept in a variable are written `as const`. JSON Schemas are in the package: `rivya-temporal/schema/generate-media-input.json` and `…-result.json`.',
    table(
      ['field', 'meaning'],
      [
        ...fieldsOf({
          properties: Object.fromEntries(Object.entries(fields.properties).filter(([name]) => name !== 'options')),
        }),
        ...fieldsOf(inner(options), 'options.'),
      ],
    ),
    'A reference says in one of four fields where it is ([details](pipelines.md#references)):',
    table(['field of `references[n]`', 'meaning'], fieldsOf(inner(references))),
    '## Result of a generation',
    table(['field', 'meaning'], fieldsOf(schemas['generate-media-result.json'])),
    '## Failure types',
    `A generation fails or holds with one of these types, or with an [error code](#error-codes) of the API. The details of a failure hold ${['taskId', 'idempotencyKey', 'reservedCredits', 'finalCredits', 'requestId', 'action'].map(code).join(', ')}.`,
    ...ours,
    ...byOthers,
    '## Error codes',
    'What the API refuses. _Repeated_: nothing to do. _Held_: a person acts, then `rivya-temporal resume` goes on. _Failed_: start again with other input.',
    ...codes,
    await stopped(),
    '### Other codes',
    'A code that this version does not know follows its HTTP status: 408, 425, 429 and 5xx are repeated, all others fail. No answer, a time-out, a cut or unreadable body, any 5xx: the outcome is _unknown_, a task may exist, and the same request goes out again under the same key.',
  ].join('\n\n')}\n`;
}
