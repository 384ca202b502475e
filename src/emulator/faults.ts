import { z } from 'zod';
import { ERROR_CODES, type ErrorCode } from '../contract/index.js';
import { checked } from './validate.js';

const CODE = z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]);
const TEXT = z.string().optional();
const RAW_REPLY = {
  status: z.number(),
  body: z.string(),
  /** `base64` for bytes that are no text. Default: the body is text, sent as UTF-8. */
  encoding: z.enum(['utf8', 'base64']).optional(),
  headers: z.record(z.string(), z.string()).optional(),
};
const FAULT_ACTION = z.discriminatedUnion('kind', [
  // The documented envelope; nothing is done. `retryAfter` is sent as it is.
  z.strictObject({ kind: z.literal('error'), code: CODE, retryAfter: TEXT, message: TEXT }),
  z.strictObject({ kind: z.literal('errorAfter'), code: CODE }),
  z.strictObject({ kind: z.literal('reply'), ...RAW_REPLY }),
  z.strictObject({ kind: z.literal('replyAfter'), ...RAW_REPLY }),
  z.strictObject({ kind: z.literal('redirect'), location: z.string() }),
  // The connection is cut; with `hang` nothing is done and the connection ends with `close()`. `create`: the task ends
  // `failed`, or never ends.
  z.strictObject({ kind: z.literal(['dropBefore', 'dropAfter', 'hang', 'fail', 'stuck']) }),
  // The work, also when its sender has given up, or only its reply is late. Milliseconds of real time. `create`: the task
  // takes so long, in milliseconds at speed 1.
  z.strictObject({ kind: z.literal(['delayBefore', 'delayAfter', 'duration']), ms: z.number() }),
  // `Content-Length` is right, but the connection ends after so many bytes of the body.
  z.strictObject({ kind: z.literal('truncateAfter'), bytes: z.number() }),
  // `create`: the task gets this ID, unless another one has it.
  z.strictObject({ kind: z.literal('id'), id: z.string() }),
  // `status`: the task is shown with this status word, without result and error.
  z.strictObject({ kind: z.literal('status'), status: z.string() }),
]);
/** The action of a fault. Kinds that end in `After` do the work first: the task exists and is charged. */
export type FaultAction = z.infer<typeof FAULT_ACTION>;

const FAULT = z
  .strictObject({
    on: z.enum(['create', 'chat', 'status', 'models', 'credits', 'media', 'upload', 'file']),
    /** Only where the task's prompt, or the name of an uploaded file, contains this. */
    prompt: TEXT,
    /** Only where this is the task's idempotency key. */
    key: TEXT,
    /** So many matching requests pass unharmed first. Default 0. */
    skip: z.number().optional(),
    /** Then so many are hit. Default all. */
    times: z.number().optional(),
    do: FAULT_ACTION,
  })
  .refine((fault) => shapeOf(fault.do) === null || fault.on === 'create', 'this action belongs to "create"')
  .refine((fault) => fault.do.kind !== 'status' || fault.on === 'status', '"status" belongs to "status"');

/** A fault on demand: where, how often, and what goes wrong. */
export type Fault = z.infer<typeof FAULT>;
/** The call that a fault is for. */
export type FaultTarget = Fault['on'];

/** What faults make of a new task. */
export interface TaskShape {
  readonly outcome?: 'failed' | 'stuck';
  /** Milliseconds at speed 1. */
  readonly durationMs?: number;
  readonly id?: string;
}

export interface PickedFault {
  readonly shape: TaskShape;
  /** What happens to the exchange itself: at most one action, the first that matches. */
  readonly action: FaultAction | null;
}

/** The request that a fault is picked for. */
export interface FaultSubject {
  readonly prompt: string;
  readonly key: string | null;
  /** What directives are counted by: the idempotency key of a create (the prompt without one), the task of a check. */
  readonly id: string;
}

export type Faults = ReturnType<typeof openFaults>;

/** The faults of an emulator. `countUse` counts the use of a fault and returns how often it was used before. */
export function openFaults(countUse: (name: string) => number) {
  /** Each with the name under which its uses are counted. */
  let all: { readonly fault: Fault; readonly name: string }[] = [];

  /** @throws TypeError for a fault that is not one, so that a slip does not pass as "no fault". */
  function set(faults: readonly Fault[]): void {
    checked(z.array(FAULT), faults, 'Not a fault');
    all = faults.map((fault, place) => ({ fault: { ...fault }, name: `${place} ${JSON.stringify(fault)}` }));
  }

  function pick(on: FaultTarget, { prompt, key, id }: FaultSubject): PickedFault {
    const matching = all.filter(
      ({ fault }) =>
        (fault.key === undefined || fault.key === key) && (fault.prompt === undefined || prompt.includes(fault.prompt)),
    );
    const directives = promptFaults(prompt, on === 'chat' ? 'chat' : 'create').map((fault, index) => {
      // A refusal is counted through all keys: a client may well take another one after it.
      const refusal = on !== 'status' && fault.do.kind === 'error';
      return { fault, name: `${on} ${index} ${refusal ? prompt : id}` };
    });
    const shapes: TaskShape[] = [];
    let action: FaultAction | null = null;
    for (const { fault, name } of [...matching, ...directives]) {
      if (fault.on !== on) continue;
      const shaping = shapeOf(fault.do);
      if (shaping === null && action !== null) continue;
      const used = countUse(name);
      const { skip = 0, times = Infinity } = fault;
      if (used < skip || used >= skip + times) continue;
      if (shaping === null) action = fault.do;
      else shapes.unshift(shaping); // The first that matches has the last word.
    }
    return { shape: Object.assign({}, ...shapes) as TaskShape, action };
  }

  return { set, pick };
}

function shapeOf(action: FaultAction): TaskShape | null {
  if (action.kind === 'fail') return { outcome: 'failed' };
  if (action.kind === 'stuck') return { outcome: 'stuck' };
  if (action.kind === 'id') return { id: action.id };
  return action.kind === 'duration' ? { durationMs: action.ms } : null;
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Faults that stand in a prompt, so that a person can try them from the command line: `[[fail]]`, `[[stuck]]`,
 * `[[duration:90s]]`, `[[code:insufficient_credits]]` (always, or `[[code:rate_limited:2]]` for the first two POSTs),
 * `[[drop-reply:2]]` (first two POSTs), `[[status-error:3]]` (first three checks). Other double brackets are text.
 */
function promptFaults(prompt: string, submit: 'create' | 'chat'): Fault[] {
  const directives = prompt.matchAll(/\[\[([a-z-]+)(?::([^:\]]+))?(?::(\d+))?\]\]/g);
  const found = Array.from(directives, ([, name = '', value = '', count]) => directive(submit, name, value, count));
  return found.filter((fault) => fault !== null);
}

/** The fault of a directive, or null for other text. A slip in a directive is a refusal that names it. */
function directive(on: 'create' | 'chat', name: string, value: string, count: string | undefined): Fault | null {
  const refuse = (message: string): Fault => ({ on, do: { kind: 'error', code: 'validation_failed', message } });
  const times = Number(value || 1);
  if (name === 'fail' || name === 'stuck') return { on, do: { kind: name } };
  if (name === 'drop-reply') return { on, times, do: { kind: 'dropAfter' } };
  if (name === 'status-error') return { on: 'status', times, do: { kind: 'error', code: 'internal_error' } };
  if (name === 'code') {
    const code = CODE.safeParse(value);
    if (!code.success) return refuse(`[[code:${value}]] is not a documented error code.`);
    return { on, ...(count !== undefined && { times: Number(count) }), do: { kind: 'error', code: code.data } };
  }
  if (name !== 'duration') return null;
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) ?? [];
  if (unit === undefined) return refuse(`[[duration:${value}]] is not a duration such as 90s.`);
  return { on, do: { kind: 'duration', ms: Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS] } };
}
