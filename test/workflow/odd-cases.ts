/** The answers of `odd-answers.test.ts`, and what is expected of each. */
import { gzipSync } from 'node:zlib';
import type { GenerationOptions } from '../../src/contract/index.js';
import type { Fault, FaultAction, FaultTarget } from '../../src/emulator/index.js';

export interface Odd {
  /** Also a part of the prompt, by which its faults find it. */
  readonly name: string;
  readonly faults: readonly Omit<Fault, 'prompt'>[];
  readonly options?: GenerationOptions;
  /** So many calls are expected; default 1. */
  readonly posts?: number;
  readonly checks?: number;
  /** The first two of the repeated calls are at least so far apart, in milliseconds. */
  readonly apart?: number;
  /** Type of the failure; default: it succeeds. */
  readonly fails?: string;
}
type Reply = Extract<FaultAction, { kind: 'reply' }>;

const reply = (status: number, body: string, headers: Record<string, string> = {}): Reply => {
  return { kind: 'reply', status, body, headers };
};
const refusal = (status: number, code: string, headers: Record<string, string> = {}): Reply => {
  return reply(status, JSON.stringify({ error: { code, message: 'No.', requestId: 'req_odd' } }), headers);
};
/** The same answer after the work: the task exists and is paid. */
const afterWork = (action: FaultAction): FaultAction =>
  action.kind === 'reply' ? { ...action, kind: 'replyAfter' } : action;
const once = (on: FaultTarget, action: FaultAction): Odd['faults'][number] => ({ on, times: 1, do: action });
/** The task has this ID, so that an answer can be about it. */
const called = (id: string): Odd['faults'][number] => ({ on: 'create', do: { kind: 'id', id } });

const MIB = 1024 * 1024;
const HTML = '<!doctype html><title>Bad gateway</title>';
// Longer than what Temporal carries as a result or failure, if it stood there three times.
const LONG = 'x'.repeat(900_000);
const BOMB = gzipSync(Buffer.alloc(50 * MIB, ' ')).toString('base64');

/** Neither a task nor a refusal in the API's own words, whatever was asked. */
const UNREADABLE: Readonly<Record<string, FaultAction>> = {
  'an empty body': reply(200, ''),
  'no content': reply(204, ''),
  'half a document': reply(200, '{"id":"task_1","status":"succ'),
  'a body that breaks off': { kind: 'truncateAfter', bytes: 40 },
  'two documents': reply(200, '{"id":"a"}{"id":"b"}'),
  HTML: reply(200, HTML, { 'content-type': 'text/html' }),
  'HTML of a proxy': reply(502, HTML),
  'a 404 page': reply(404, HTML),
  'an over-long body': reply(200, `{"id":"task_1","x":"${'x'.repeat(MIB)}"}`),
  'a gzip bomb': { ...reply(200, BOMB, { 'content-encoding': 'gzip' }), encoding: 'base64' },
  'NaN credits': reply(200, '{"id":"task_1","status":"queued","reserved_credits":NaN}'),
  'no ID': reply(200, '{"status":"succeeded"}'),
  'an ID that leads up': reply(200, '{"id":".."}'),
  'an over-long ID': reply(200, JSON.stringify({ id: 'x'.repeat(300) })),
  'a refusal with status 200': refusal(200, 'validation_failed'),
  'a refusal with status 302': refusal(302, 'validation_failed', { location: '/elsewhere' }),
  'a refusal with status 500': refusal(500, 'validation_failed'),
  'an unknown code with 503': refusal(503, 'brand_new'),
  'a redirect': reply(307, '', { location: '/elsewhere' }),
  'a redirect with a task': reply(302, '{"id":"task_1","status":"succeeded"}', { location: '/elsewhere' }),
};

/** Read all the same: the task has this ID, and the create is answered with this (else as usual). */
const READABLE: Readonly<Record<string, readonly [id: string, body?: string]>> = {
  'an ID with a slash': ['odd/id'],
  'an ID that looks like a path': ['../../credits'],
  'an ID that looks like a query': ['odd?id=1#x%2F..'],
  'an ID of many bytes': ['狐'.repeat(256)],
  'duplicate keys': ['odd-keys', '{"id":"task_1","status":"failed","id":"odd-keys","status":"queued"}'],
  'only an ID': ['odd-short', '{"id":"odd-short"}'],
  'fields of other types': [
    'odd-types',
    '{"id":"odd-types","status":7,"model":[],"reserved_credits":"NaN","final_credits":-1,"created_at":"soon","result":"x","error":[]}',
  ],
};

// The dates count from the API's own clock, which is wrong here.
const DATE = 'Sun, 10 May 2026 00:00:00 GMT';
/** `Retry-After`, and what it asks for in milliseconds. */
const RETRY_AFTER: readonly (readonly [header: string, ms: number])[] = [
  ['0', 0],
  ['-5', 0],
  ['7', 7_000],
  ['soon', 0],
  [DATE, 0],
  ['Sat, 09 May 2026 23:00:00 GMT', 0],
  ['Sun, 10 May 2026 00:00:07 GMT', 7_000],
];
const busy = (retryAfter: string): Reply => refusal(429, 'rate_limited', { 'retry-after': retryAfter, date: DATE });

const REPEATED_CODES = [408, 425, 429];

export const submits: readonly Odd[] = [
  ...Object.entries(UNREADABLE).map(([name, action]) => {
    return { name, posts: 2, apart: 500, faults: [once('create', afterWork(action))] };
  }),
  ...Object.entries(READABLE).map(([name, [id, body]]) => {
    return { name, faults: [called(id), ...(body === undefined ? [] : [once('create', afterWork(reply(201, body)))])] };
  }),
  ...RETRY_AFTER.map(([header, ms]) => {
    return {
      name: `Retry-After ${header}`,
      posts: 2,
      apart: Math.max(1_000, ms),
      faults: [once('create', busy(header))],
    };
  }),
  ...REPEATED_CODES.map((status) => {
    return { name: `an unknown code with ${status}`, posts: 2, faults: [once('create', refusal(status, 'brand_new'))] };
  }),
  ...[400, 404, 409, 418, 422].map((status) => ({
    name: `an unknown code with ${status}`,
    checks: 0,
    fails: 'brand_new',
    faults: [{ on: 'create', do: refusal(status, 'brand_new') } as const],
  })),
].map((odd) => ({ ...odd, name: `submit: ${odd.name}` }));

/** Answers to the first checks of a task with an ID of its own. */
const told = (id: string, ...bodies: readonly (object | string)[]): Odd['faults'] => [
  called(id),
  ...bodies.map((body) =>
    once('status', reply(200, typeof body === 'string' ? body : JSON.stringify({ id, ...body }))),
  ),
];
const [succeeded, failed] = [{ status: 'succeeded' }, { status: 'failed' }];
const NO_LINKS = { primary_url: 'javascript:0', urls: ['/1.png', 7, `https://media.example/${LONG}`] };

export const checks: readonly Odd[] = [
  ...Object.entries(UNREADABLE).map(([name, action]) => ({ name, checks: 2, faults: [once('status', action)] })),
  ...RETRY_AFTER.map(([header, apart]) => {
    return { name: `Retry-After ${header}`, checks: 2, apart, faults: [once('status', busy(header))] };
  }),
  ...REPEATED_CODES.map((status) => {
    return {
      name: `an unknown code with ${status}`,
      checks: 2,
      faults: [once('status', refusal(status, 'brand_new'))],
    };
  }),
  { name: 'the end of another task', checks: 2, faults: told('odd-other', '{"id":"task_1","status":"failed"}') },
  {
    name: 'duplicate keys',
    checks: 2,
    faults: told('odd-twice', '{"id":"odd-twice","status":"failed","status":"queued"}'),
  },
  { name: 'no status', checks: 2, faults: told('odd-status', {}) },
  {
    name: 'words as long as a reply',
    checks: 3,
    faults: told('odd-words', { status: LONG }, { status: 'queued', model: LONG }),
  },
  {
    name: 'succeeded without a link',
    checks: 3,
    faults: told('odd-link', { ...succeeded, result: null }, { ...succeeded, result: NO_LINKS }),
  },
  { name: 'failed without an error', fails: 'GenerationFailed', faults: told('odd-null', { ...failed, error: null }) },
  {
    name: 'failed with an error as long as a reply',
    fails: 'GenerationFailed',
    faults: told('odd-error', { ...failed, error: { code: LONG, message: 'x' } }),
  },
  ...(
    [
      [400, 'brand_new'],
      [418, 'brand_new'],
      [400, 'validation_failed'],
      [409, 'idempotency_conflict'],
    ] as const
  ).map(([status, code]) => ({
    name: `${code} with ${status}, and no hold is wanted`,
    fails: code,
    options: { onActionNeeded: 'fail' } as const,
    faults: [{ on: 'status', do: refusal(status, code) } as const],
  })),
].map((odd) => ({ ...odd, name: `check: ${odd.name}` }));

export const HELD = 'check: brand_new with 418';
export const absurd = ['36000', '9'.repeat(30), 'Sun, 10 May 2099 00:00:00 GMT'].flatMap((header) =>
  (['create', 'status'] as const).map((on) => ({ name: `${on}: absurd Retry-After ${header}`, on, header })),
);
/** These are not waited for to the end. */
export const open: readonly Odd[] = [
  { name: HELD, faults: [once('status', refusal(418, 'brand_new'))] },
  ...absurd.map(({ name, on, header }) => ({ name, faults: [{ on, do: busy(header) }] })),
];
