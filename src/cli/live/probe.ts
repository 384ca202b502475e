import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCodeRow, type TaskSnapshot } from '../../contract/index.js';
import { readInput } from '../../policy/index.js';
import { Spend } from './spend.js';
import type { Step, Wire } from './wire.js';

// The pace that the API's documentation advises after the first check: 5 to 10 s.
const POLL_MS = 5_000;
// A cheap image is there within a minute. What takes longer than this is not waited for; it goes on all the same.
const WAIT_MS = 5 * 60_000;

const PROMPT = 'A plain grey square';
const OTHER_PROMPT = 'A plain white square';
/** Well-formed, but there is no such model and nothing to make: no API can take it for a task. */
const INVALID = { model: 'rivya-temporal-doctor' };

export type PostName = 'create' | 'replay' | 'conflict' | 'refusal' | 'refusal again' | 'late replay';
export type TaskStep = Step<TaskSnapshot>;

export interface Balance {
  /** After which step it was read; `start` before the first. */
  readonly after: PostName | 'start' | 'end';
  readonly credits: number;
}

/** Everything that was seen of the account, before anybody judges it. */
export interface Observed {
  readonly idempotencyKey: string;
  readonly model: string;
  /** Credits of a task, by the list of models. */
  readonly price: number;
  readonly prompt: string;
  readonly posts: Partial<Readonly<Record<PostName, TaskStep>>>;
  /** Why a POST was left out. */
  readonly skipped: Partial<Readonly<Record<PostName, string>>>;
  readonly checks: readonly TaskStep[];
  readonly balances: readonly Balance[];
  /** Credits that it may have cost, at worst. */
  readonly atMost: number;
  readonly interrupted: boolean;
}

export interface ProbeOptions {
  readonly wire: Wire;
  readonly model: { readonly id: string; readonly price: number };
  readonly maxCredits: number;
  readonly say: (line: string) => void;
  readonly interrupted: AbortSignal;
  /** Default 5 s. */
  readonly pollMs?: number;
  /** Default 5 min. */
  readonly waitMs?: number;
}

/**
 * Asks one account how it behaves: create, the same again, another body under the same key, an invalid body twice, and
 * the same once more when the task has ended. No POST is sent that could exceed `maxCredits`, whatever the API does.
 *
 * @throws RivyaApiError where the balance cannot be read at the start for another reason than a missing scope: nothing
 * was posted then.
 */
export async function probe(options: ProbeOptions): Promise<Observed> {
  const { wire, model, maxCredits, say, interrupted } = options;
  const idempotencyKey = newKey();
  // The bytes that "generate" sends for the same model and prompt, so that it can take up what got lost here.
  const { body } = readInput({ model: model.id, prompt: PROMPT });
  const { body: otherBody } = readInput({ model: model.id, prompt: OTHER_PROMPT });

  const spend = new Spend(maxCredits, model.price);
  const posts: Partial<Record<PostName, TaskStep>> = {};
  const skipped: Partial<Record<PostName, string>> = {};
  const balances: Balance[] = [];
  let checks: readonly TaskStep[] = [];
  const seen = (): Observed => ({
    idempotencyKey,
    model: model.id,
    price: model.price,
    prompt: PROMPT,
    posts,
    skipped,
    checks,
    balances,
    atMost: spend.atMost,
    interrupted: interrupted.aborted,
  });

  const readBalance = async (after: Balance['after']): Promise<void> => {
    const { value, error } = await wire.step(`credits after ${after}`, (client) => client.getCredits());
    const credits = value?.currentCredits ?? null;
    if (credits !== null) balances.push({ after, credits });
    const atStart = balances[0]?.after === 'start' ? balances[0].credits : null;
    if (credits !== null && atStart !== null) spend.fell(atStart - credits);
    // Whatever else is wrong at the start is better found before anything can be paid.
    if (after === 'start' && error !== null && error.code !== 'api_scope_denied') throw error;
  };
  const post = async (name: PostName, key: string, bytes: string): Promise<TaskStep | null> => {
    const why = interrupted.aborted
      ? 'interrupted'
      : spend.allowsOneMore
        ? null
        : `it could exceed the ${maxCredits} credits that were agreed to`;
    if (why !== null) {
      skipped[name] = why;
      return null;
    }
    const step = await wire.step(name, (client) =>
      client.createGeneration({ idempotencyKey: key, body: bytes }).then(({ task }) => task),
    );
    spend.count(step);
    posts[name] = step;
    return step;
  };

  await readBalance('start');
  // On the screen before the POST: nothing that is paid can get lost after this.
  say(`Submits ${body} under the idempotency key ${idempotencyKey}`);
  const create = await post('create', idempotencyKey, body);
  if (create === null || create.error?.outcome === 'refused') return seen();
  if (create.value !== null) say(`The task is ${create.value.taskId}`);
  await readBalance('create');

  const replay = await post('replay', idempotencyKey, body);
  if (replay !== null) await readBalance('replay');
  const task = create.value ?? replay?.value ?? null;
  if (create.value === null && task !== null) say(`The task is ${task.taskId}`);
  const paidAgain = task !== null && replay?.value != null && replay.value.taskId !== task.taskId;
  if (paidAgain || task === null) {
    const why = paidAgain ? 'the replay has made a second task already' : 'no task is known';
    skipped['conflict'] = skipped['refusal'] = skipped['late replay'] = why;
  } else {
    const conflict = await post('conflict', idempotencyKey, otherBody);
    if (conflict !== null) await readBalance('conflict');
    const refusalKey = newKey();
    const refusal = await post('refusal', refusalKey, JSON.stringify(INVALID));
    if (refusal?.error?.outcome === 'refused') await post('refusal again', refusalKey, JSON.stringify(INVALID));
  }
  if (task === null) {
    await readBalance('end');
    return seen();
  }

  checks = await checkUntilEnded(task.taskId, options);
  if (hasEnded(checks.at(-1))) {
    if (!('late replay' in skipped)) await post('late replay', idempotencyKey, body);
  } else skipped['late replay'] ??= interrupted.aborted ? 'interrupted' : 'the end of the task was not seen';
  if (!interrupted.aborted) await readBalance('end');
  return seen();
}

function newKey(): string {
  return `rivya-temporal-doctor-${randomBytes(12).toString('hex')}`;
}

/** Reads the status until the task has ended, and a result is there where it succeeded. */
async function checkUntilEnded(taskId: string, options: ProbeOptions): Promise<TaskStep[]> {
  const { wire, say, interrupted, pollMs = POLL_MS, waitMs = WAIT_MS } = options;
  const until = performance.now() + waitMs;
  const checks: TaskStep[] = [];
  let pauseMs = pollMs;
  while (performance.now() < until && !interrupted.aborted) {
    await sleep(Math.min(pauseMs, waitMs), undefined, { signal: interrupted }).catch(() => undefined);
    if (interrupted.aborted) break;
    const step = await wire.step('status', (client) => client.retrieveGeneration(taskId).then(({ task }) => task));
    if (step.value !== null) {
      if (step.value.status !== checks.at(-1)?.value?.status) say(`${taskId}: ${step.value.status}`);
      checks.push(step);
      if (hasEnded(step) && (step.value.status === 'failed' || rawResult(step) !== null)) break;
    } else if (errorCodeRow(step.error?.code ?? null, step.error?.httpStatus ?? null).actor === 'operator') {
      checks.push(step);
      break;
    }
    pauseMs = Math.max(pollMs, step.error?.retryAfterMs ?? 0);
  }
  return checks;
}

/** True for a status answer that says that the task has ended. */
export function hasEnded(step: TaskStep | undefined): boolean {
  return step?.value?.status === 'succeeded' || step?.value?.status === 'failed';
}

/** The JSON object of a reply, or an empty one. */
export function rawBody({ exchange }: Pick<TaskStep, 'exchange'>): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(exchange.body ?? '');
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // A page of a proxy, or half a reply.
  }
  return {};
}

/** `result` of a task reply as it came, or null. */
export function rawResult(step: Pick<TaskStep, 'exchange'>): Readonly<Record<string, unknown>> | null {
  const { result } = rawBody(step);
  return typeof result === 'object' && result !== null ? (result as Record<string, unknown>) : null;
}
