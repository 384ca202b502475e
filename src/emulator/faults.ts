import { ERROR_CODES, type ErrorCode } from '../contract/index.js';
import { FAULT_TARGETS, type Fault, type FaultAction, type FaultTarget } from './types.js';

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

export interface FaultSubject {
  readonly prompt: string;
  readonly key: string | null;
  /** Counts of directives are kept per subject: the idempotency key of a create (the prompt without one), the task of a check. */
  readonly id: string;
}

/** A fault with the name under which its uses are counted. */
interface Counted {
  readonly fault: Fault;
  readonly place: number;
  readonly name: string;
}

/** Picks what goes wrong. A fault with `skip` and `times` depends on how often it was used before. */
export class Faults {
  /** By idempotency key, because there may be one for each of ten thousand; undefined: for any. */
  #faults = new Map<string | undefined, Counted[]>();
  readonly #countUse: (name: string) => number;

  /** @param countUse - Counts a use and returns how often that fault was used before. */
  constructor(countUse: (name: string) => number) {
    this.#countUse = countUse;
  }

  /** @throws TypeError for a fault that is not one, so that a slip does not pass as "no fault". */
  set(faults: readonly Fault[]): void {
    for (const fault of faults) checkFault(fault);
    this.#faults = new Map();
    for (const [place, fault] of faults.entries()) {
      const counted: Counted = { fault: { ...fault }, place, name: `${place} ${JSON.stringify(fault)}` };
      const sameKey = this.#faults.get(fault.key);
      if (sameKey === undefined) this.#faults.set(fault.key, [counted]);
      else sameKey.push(counted);
    }
  }

  pick(on: FaultTarget, subject: FaultSubject): PickedFault {
    const shapes: TaskShape[] = [];
    let action: FaultAction | null = null;
    const forKey = subject.key === null ? [] : (this.#faults.get(subject.key) ?? []);
    const matching = [...forKey, ...(this.#faults.get(undefined) ?? [])]
      .filter(({ fault }) => fault.prompt === undefined || subject.prompt.includes(fault.prompt))
      .toSorted((a, b) => a.place - b.place);
    const directives = promptFaults(subject.prompt, on === 'chat' ? 'chat' : 'create').map((fault, index) => {
      // A refusal is counted through all keys: a client may well take another one after it.
      const refusal = on !== 'status' && fault.do.kind === 'error';
      return { fault, name: `${on} ${index} ${refusal ? subject.prompt : subject.id}` };
    });
    for (const { fault, name } of [...matching, ...directives]) {
      if (fault.on !== on) continue;
      const shaping = shapeOf(fault.do);
      if (shaping === null && action !== null) continue;
      if (!this.#isDue(fault, name)) continue;
      if (shaping === null) action = fault.do;
      else shapes.unshift(shaping); // The first that matches has the last word.
    }
    return { shape: Object.assign({}, ...shapes) as TaskShape, action };
  }

  #isDue({ skip = 0, times = Infinity }: Fault, name: string): boolean {
    const used = this.#countUse(name);
    return used >= skip && used < skip + times;
  }
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
  const faults: Fault[] = [];
  for (const match of prompt.matchAll(/\[\[([a-z-]+)(?::([^:\]]+))?(?::(\d+))?\]\]/g)) {
    const fault = directive(match[1] ?? '', match[2] ?? '', match[3]);
    if (fault !== null) faults.push(fault.on === 'create' ? { ...fault, on: submit } : fault);
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

const TARGETS = new Set<unknown>(FAULT_TARGETS);
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
  id: ['id'],
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
  if ('encoding' in action && action.encoding !== 'utf8' && action.encoding !== 'base64') {
    throw problem('"do.encoding" is neither utf8 nor base64');
  }
  if (shapeOf(action) !== null && fault.on !== 'create') throw problem(`"${action.kind}" belongs to "create"`);
  if (action.kind === 'status' && fault.on !== 'status') throw problem('"status" belongs to "status"');
}
