/** What a run does, drawn from its seed. Pure: the same seed plans the same run. */
import type { GenerateMediaInput } from '../../src/contract/index.js';
import { SWITCH_VALUES, type EmulatorSwitches, type Fault, type FaultAction } from '../../src/emulator/index.js';
import { idempotencyKey } from '../../src/policy/index.js';
import { Dice } from './dice.js';

/** What happens to a generation besides its faults. */
export type Story =
  | 'left alone'
  | 'woken for a check'
  | 'first task fails'
  | 'cancelled and started again'
  | 'terminated and started again'
  | 'reset to its first Workflow Task';

export interface Job {
  readonly workflowId: string;
  readonly input: GenerateMediaInput & { readonly prompt: string };
  readonly faults: readonly Fault[];
  readonly story: Story;
  /** When its story begins, in milliseconds after the start. */
  readonly storyAfterMs: number;
  /** Paid tasks by design: two where the first one fails and the second is allowed, otherwise one. */
  readonly paid: number;
}

export type Victim = 'worker' | 'all workers' | 'emulator' | 'temporal' | 'frozen worker' | 'account';

export interface Kill {
  readonly afterMs: number;
  readonly victim: Victim;
}

const HTML: Extract<FaultAction, { kind: 'reply' }> = {
  kind: 'reply',
  status: 502,
  body: '<html><h1>Bad gateway</h1></html>',
  headers: { 'content-type': 'text/html' },
};

type Draw = readonly (readonly [weight: number, fault: (dice: Dice) => FaultAction])[];

/** Most of them leave open whether a task was made, because that is where money is lost. */
const AT_SUBMIT: Draw = [
  [6, () => ({ kind: 'dropAfter' })],
  [4, () => ({ kind: 'dropBefore' })],
  [4, (dice) => ({ kind: 'truncateAfter', bytes: dice.between(0, 120) })],
  [4, () => ({ kind: 'errorAfter', code: 'internal_error' })],
  [3, () => ({ ...HTML, kind: 'replyAfter' })],
  [2, () => ({ kind: 'replyAfter', status: 200, body: '' })],
  [2, () => HTML],
  [4, (dice) => ({ kind: 'error', code: 'rate_limited', retryAfter: dice.pick(['0', '1', '2']) })],
  [3, () => ({ kind: 'error', code: 'public_api_disabled', retryAfter: '1' })],
  [4, (dice) => ({ kind: 'delayAfter', ms: dice.between(1_000, 6_000) })],
  [3, (dice) => ({ kind: 'delayBefore', ms: dice.between(1_000, 5_000) })],
];

/** Refusals that hold. The key number moves on after them, where nothing under the key is unanswered. */
const HELD_AT_SUBMIT: Draw = [
  [2, () => ({ kind: 'error', code: 'insufficient_credits' })],
  [1, () => ({ kind: 'error', code: 'api_key_revoked' })],
];

const AT_CHECK: Draw = [
  [3, () => ({ kind: 'error', code: 'internal_error' })],
  [3, () => ({ kind: 'error', code: 'rate_limited', retryAfter: '3' })],
  [2, () => ({ kind: 'error', code: 'public_api_disabled' })],
  [3, () => ({ kind: 'dropBefore' })],
  [2, () => HTML],
  [2, (dice) => ({ kind: 'truncateAfter', bytes: dice.between(0, 120) })],
  [2, (dice) => ({ kind: 'delayAfter', ms: dice.between(500, 4_000) })],
  [3, () => ({ kind: 'status', status: 'rendering' })],
  [2, () => ({ kind: 'error', code: 'not_found' })],
  [1, () => ({ kind: 'error', code: 'api_scope_denied' })],
];

const AT_DOWNLOAD: Draw = [
  [3, () => ({ kind: 'reply', status: 403, body: 'expired' })],
  [3, (dice) => ({ kind: 'truncateAfter', bytes: dice.between(0, 200) })],
  [2, () => ({ kind: 'dropBefore' })],
  [2, () => ({ ...HTML, status: 200 })],
  [2, () => ({ ...HTML, status: 503 })],
];

/** An answer that comes after our own limit of 60 s. It takes a minute, so only long runs have it, and sparingly. */
const LATE: FaultAction = { kind: 'delayAfter', ms: 65_000 };
const LATE_SHARE = 1 / 300;

const MODELS: readonly (readonly [number, string])[] = [
  [30, 'z-image'],
  [30, 'gpt-image-2'],
  [28, '4o-image'],
  [4, 'veo3-1-lite'],
  [4, 'sora-2'],
  [2, 'suno-music'],
  [2, 'elevenlabs-sound-effect-v2'],
];

const STORIES: readonly (readonly [number, Story])[] = [
  [76, 'left alone'],
  [4, 'woken for a check'],
  [5, 'first task fails'],
  [5, 'cancelled and started again'],
  [5, 'terminated and started again'],
  [5, 'reset to its first Workflow Task'],
];

/** How hard a generation is hit. */
export interface Hardness {
  /** With what takes a minute: answers after our time limit, frozen Workers. */
  readonly long: boolean;
  /** So many times as many faults at each submit: 1 for one to three of them. */
  readonly faults: number;
}

export function planJob(seed: number, n: number, hardness: Hardness): Job {
  const dice = new Dice(`${seed} job ${n}`);
  const workflowId = `chaos-${seed}-${n}`;
  const model = dice.weigh(MODELS);
  const story = dice.weigh(STORIES);
  const paid = story === 'first task fails' ? 2 : 1;

  const faults: Fault[] = [];
  const draw = (on: Fault['on'], table: Draw, count: number, key: string): void => {
    for (let i = 0; i < count; i++) faults.push({ on, key, times: 1, do: dice.weigh(table)(dice) });
  };
  for (let number = 1; number <= paid; number++) {
    const key = keyOf(workflowId, number);
    // The task that fails must be the first one. Where the first key could be refused and left, nobody could say before
    // the run which key makes it: a kill decides. So this key is not held, and the next one may be.
    const atSubmit = number < paid ? AT_SUBMIT : [...AT_SUBMIT, ...HELD_AT_SUBMIT];
    draw('create', atSubmit, hardness.faults * dice.weigh([[6, 1] as const, [3, 2] as const, [1, 3] as const]), key);
    draw('status', AT_CHECK, dice.weigh([[5, 0] as const, [4, 1] as const, [1, 2] as const]), key);
    draw('media', AT_DOWNLOAD, dice.weigh([[6, 0] as const, [3, 1] as const, [1, 2] as const]), key);
    const slow = /image/.test(model) ? 9_000 : 15_000;
    faults.push({ on: 'create', key, do: { kind: 'duration', ms: dice.between(300, slow) } });
  }
  if (story === 'first task fails') {
    faults.push({ on: 'create', key: keyOf(workflowId, 1), do: { kind: 'fail' } });
  }
  if (hardness.long && dice.chance(LATE_SHARE)) {
    faults.unshift({ on: 'create', key: keyOf(workflowId, 1), times: 1, do: LATE });
  }

  // A refusal that the API has stored goes on for ever: after a submit that a kill left unanswered, only the end of the
  // window brings the person who can tell. The default of 12 h is too long for a test.
  const stored = faults.some(({ do: action }) => action.kind === 'error' && action.code === 'insufficient_credits');
  const options = {
    ...(paid > 1 && { maxAttempts: paid }),
    ...(stored && { idempotencyWindow: '20s' as const }),
  };
  return {
    workflowId,
    input: { model, prompt: `Generation ${n} of chaos run ${seed}`, options },
    faults,
    story,
    storyAfterMs: dice.between(300, 9_000),
    paid,
  };
}

/**
 * The highest key number that a generation may come to: one for each paid task, and one more for each key under which a
 * refusal can be drawn, as its hold ends at most once before the number moves on.
 */
export function lastKeyNumber({ paid }: Pick<Job, 'paid'>): number {
  return paid + 1;
}

/** The key that the product must use. */
export function keyOf(workflowId: string, number: number): string {
  return idempotencyKey({ use: 'generation', namespace: 'default', workflowId, number });
}

/** What the documentation leaves open is answered in another way after each start of the emulator. */
export function planSwitches(seed: number, start: number): Partial<EmulatorSwitches> {
  const dice = new Dice(`${seed} switches ${start}`);
  return {
    createStatus: dice.pick(SWITCH_VALUES.createStatus),
    createBody: dice.pick(SWITCH_VALUES.createBody),
    replay: dice.pick(SWITCH_VALUES.replay),
    storeRefusals: dice.pick(SWITCH_VALUES.storeRefusals),
    storeServerErrors: dice.pick(SWITCH_VALUES.storeServerErrors),
    concurrentPost: dice.pick(SWITCH_VALUES.concurrentPost),
    keyScope: dice.pick(SWITCH_VALUES.keyScope),
    urls: dice.pick(['present', 'missing']),
    errorOnFailed: dice.pick(SWITCH_VALUES.errorOnFailed),
    resultLagMs: dice.pick([0, 0, 2_000]),
    clockOffsetMs: dice.pick([0, 0, -7_200_000, 7_200_000]),
    retryAfter: dice.pick(SWITCH_VALUES.retryAfter),
  };
}

const VICTIMS: readonly (readonly [number, Victim])[] = [
  [4, 'worker'],
  [2, 'all workers'],
  [3, 'emulator'],
  [3, 'temporal'],
  [2, 'account'],
];

/** The kill number `n`: around `everyMs` after the last one has been mended. */
export function planKill(seed: number, n: number, everyMs: number, long: boolean): Kill {
  const dice = new Dice(`${seed} kill ${n}`);
  const afterMs = dice.between(everyMs * 0.4, everyMs * 1.6);
  return { afterMs, victim: dice.weigh(long ? [...VICTIMS, [1, 'frozen worker'] as const] : VICTIMS) };
}
