import { ERROR_CODES, type ErrorCode } from '../contract/index.js';
import type { Fault, FaultAction, FaultTarget } from './types.js';

/** What faults make of a new task. */
export interface TaskShape {
  readonly outcome?: 'failed' | 'stuck';
  /** Milliseconds at speed 1. */
  readonly durationMs?: number;
}

export interface PickedFault {
  readonly shape: TaskShape;
  /** What happens to the exchange itself: at most one action, the first that matches. */
  readonly action: FaultAction | null;
}

export interface FaultSubject {
  readonly prompt: string;
  readonly key: string | null;
  /** Counts of directives are kept per subject: the idempotency key or prompt of a create, the task of a check. */
  readonly id: string;
}

/** How much each fault was used. A fault with `skip` and `times` depends on how often it matched before. */
export class Faults {
  #faults: readonly Fault[] = [];
  #uses = new Map<Fault | string, number>();

  /** @throws TypeError for a fault that is not one, so that a slip does not pass as "no fault". */
  set(faults: readonly Fault[]): void {
    for (const fault of faults) checkFault(fault);
    // Copies, because the same object given again starts its count anew.
    this.#faults = faults.map((fault) => ({ ...fault }));
    this.#uses = new Map();
  }

  pick(on: FaultTarget, subject: FaultSubject): PickedFault {
    const shapes: TaskShape[] = [];
    let action: FaultAction | null = null;
    const matching = this.#faults.filter(
      (fault) =>
        (fault.prompt === undefined || subject.prompt.includes(fault.prompt)) &&
        (fault.key === undefined || fault.key === subject.key),
    );
    const directives = promptFaults(subject.prompt);
    for (const fault of [...matching, ...directives]) {
      if (fault.on !== on) continue;
      const shaping = shapeOf(fault.do);
      if (shaping === null && action !== null) continue;
      const index = directives.indexOf(fault);
      if (!this.#isDue(fault, index < 0 ? fault : `${on} ${index} ${subject.id}`)) continue;
      if (shaping === null) action = fault.do;
      else shapes.unshift(shaping); // The first that matches has the last word.
    }
    return { shape: Object.assign({}, ...shapes) as TaskShape, action };
  }

  #isDue(fault: Fault, counter: Fault | string): boolean {
    const used = this.#uses.get(counter) ?? 0;
    this.#uses.set(counter, used + 1);
    const skip = fault.skip ?? 0;
    return used >= skip && used < skip + (fault.times ?? Infinity);
  }
}

function shapeOf(action: FaultAction): TaskShape | null {
  if (action.kind === 'fail') return { outcome: 'failed' };
  if (action.kind === 'stuck') return { outcome: 'stuck' };
  return action.kind === 'duration' ? { durationMs: action.ms } : null;
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Faults that stand in a prompt, so that a person can try them from the command line: `[[fail]]`, `[[stuck]]`,
 * `[[duration:90s]]`, `[[code:insufficient_credits]]` (always, or `[[code:rate_limited:2]]` for the first two POSTs),
 * `[[drop-reply:2]]` (first two POSTs), `[[status-error:3]]` (first three checks). Other double brackets are text.
 */
export function promptFaults(prompt: string): Fault[] {
  const faults: Fault[] = [];
  for (const match of prompt.matchAll(/\[\[([a-z-]+)(?::([^:\]]+))?(?::(\d+))?\]\]/g)) {
    const fault = directive(match[1] ?? '', match[2] ?? '', match[3]);
    if (fault !== null) faults.push(fault);
  }
  return faults;
}

function directive(name: string, value: string, count: string | undefined): Fault | null {
  const times = Number(value || 1);
  switch (name) {
    case 'fail':
    case 'stuck':
      return { on: 'create', do: { kind: name } };
    case 'duration': {
      const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) ?? [];
      if (unit === undefined) return refuse(`[[duration:${value}]] is not a duration such as 90s.`);
      return { on: 'create', do: { kind: 'duration', ms: Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS] } };
    }
    case 'code': {
      if (!Object.hasOwn(ERROR_CODES, value)) return refuse(`[[code:${value}]] is not a documented error code.`);
      const limit = count === undefined ? {} : { times: Number(count) };
      return { on: 'create', ...limit, do: { kind: 'error', code: value as ErrorCode } };
    }
    case 'drop-reply':
      return { on: 'create', times, do: { kind: 'dropAfter' } };
    case 'status-error':
      return { on: 'status', times, do: { kind: 'error', code: 'internal_error' } };
    default:
      return null;
  }
}

/** A slip in a directive is told, not passed over. */
function refuse(message: string): Fault {
  return { on: 'create', do: { kind: 'error', code: 'validation_failed', message } };
}

const TARGETS = new Set<unknown>(['create', 'status', 'models', 'credits', 'media'] satisfies FaultTarget[]);
const FIELDS = new Set(['on', 'prompt', 'key', 'skip', 'times', 'do']);
/** The fields that each action needs, and where it makes sense. */
const ACTIONS: { readonly [Kind in FaultAction['kind']]: readonly string[] } = {
  error: ['code'],
  errorAfter: ['code'],
  reply: ['status', 'body'],
  replyAfter: ['status', 'body'],
  redirect: ['location'],
  dropBefore: [],
  dropAfter: [],
  delayBefore: ['ms'],
  delayAfter: ['ms'],
  truncateAfter: ['bytes'],
  hang: [],
  fail: [],
  stuck: [],
  duration: ['ms'],
  status: ['status'],
};

function checkFault(fault: Fault): void {
  const text = JSON.stringify(fault);
  const problem = (what: string): TypeError => new TypeError(`Not a fault: ${text}: ${what}`);
  if (typeof fault !== 'object' || fault === null || !TARGETS.has(fault.on)) throw problem('"on" names no endpoint');
  const unknown = Object.keys(fault).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) throw problem(`unknown field "${unknown}"`);
  const action: FaultAction | undefined = fault.do;
  if (action === undefined || !Object.hasOwn(ACTIONS, action.kind)) throw problem('"do.kind" names no action');
  const missing = ACTIONS[action.kind].find((name) => !Object.hasOwn(action, name));
  if (missing !== undefined) throw problem(`"do.${missing}" is missing`);
  if ('code' in action && !Object.hasOwn(ERROR_CODES, action.code)) throw problem('"do.code" is not documented');
  if (shapeOf(action) !== null && fault.on !== 'create') throw problem(`"${action.kind}" belongs to "create"`);
  if (action.kind === 'status' && fault.on !== 'status') throw problem('"status" belongs to "status"');
}
