/** `doctor --live`: what an account does with a repeated submit. */
import { RivyaApiError, type ModelInfo, type RivyaClient } from '../api/index.js';
import type { TaskSnapshot } from '../contract/index.js';
import { readInput } from '../policy/index.js';
import { commands } from './advice.js';
import type { Finding } from './findings.js';
import { judge, UsageError } from './errors.js';

const PROMPT = 'A plain grey square';

/** The answer to a POST: a task or an error, or neither where the POST was not sent. */
type Answer = { readonly task?: TaskSnapshot; readonly error?: RivyaApiError };

/** All answers of an account. Balances are null where they are not known; `between` is the one after the replay. */
type Answers = Awaited<ReturnType<typeof askAccount>>;

/** The cheapest image model with a fixed price; UsageError where two tasks of it could cost more than the limit. */
export function chooseModel(models: readonly ModelInfo[], maxCredits: number) {
  const [cheapest] = models
    .filter(({ kind, billingType }) => kind === 'image' && billingType === 'FIXED')
    .filter(({ apiStatus }) => apiStatus === null || apiStatus === 'available')
    .filter(({ supportedModes: modes }) => modes.length === 0 || modes.includes('text-to-image'))
    .flatMap(({ id, baseCredits: price }) => (price === null || price <= 0 ? [] : [{ id, price }]))
    .toSorted((a, b) => a.price - b.price || Number(b.id === 'z-image') - Number(a.id === 'z-image'));
  if (cheapest === undefined) throw new UsageError('The API lists no image at a fixed price. Nothing was posted.');
  const { id, price } = cheapest;
  if (2 * price <= maxCredits) return cheapest;
  throw new UsageError(
    `The cheapest model, ${id}, costs ${price} credits, and twice that where a repeated submit is paid again. That exceeds --max-credits ${maxCredits}. Nothing was posted. Allow it with --max-credits ${2 * price}.`,
  );
}

/**
 * Asks one account: create, the same again, another body under the same key, and the balance around them. A POST is sent
 * only while one task at most can have been paid, so two are paid at worst.
 * @throws RivyaApiError where the balance cannot be read at first, unless its scope is missing. Nothing was posted then.
 */
export async function askAccount(
  api: RivyaClient,
  { model, idempotencyKey }: { model: ReturnType<typeof chooseModel>; idempotencyKey: string },
  interrupted: AbortSignal,
) {
  const post = async (prompt: string): Promise<Answer> => {
    if (interrupted.aborted) return {};
    // The bytes that "generate" sends for the same prompt, so that it finds a task whose answer was lost here.
    const { body } = readInput({ model: model.id, prompt });
    try {
      return { task: (await api.createGeneration({ idempotencyKey, body })).task };
    } catch (error) {
      if (error instanceof RivyaApiError) return { error };
      throw error;
    }
  };
  const balance = async (): Promise<number | null> => (await api.getCredits()).currentCredits;
  const before = await balance().catch((error: unknown) => {
    if (error instanceof RivyaApiError && error.code === 'api_scope_denied') return null;
    throw error;
  });
  const create = await post(PROMPT);
  // A task that costs more than the list says could cost it twice.
  const withinPrice = (create.task?.reservedCredits ?? 0) <= model.price;
  const replay = create.error?.outcome !== 'refused' && withinPrice ? await post(PROMPT) : {};
  const between = await balance().catch(() => null);
  const same = create.task !== undefined && create.task.taskId === replay.task?.taskId;
  const paidOnce = before === null || between === null || before - between <= model.price;
  const conflict = same && paidOnce ? await post('A plain white square') : {};
  const after = await balance().catch(() => null);
  return { idempotencyKey, model, create, replay, conflict, before, between, after };
}

/** Judges the answers of an account: in fields for programs, and in findings for people. */
export function assess(answers: Answers) {
  const { idempotencyKey, model, create, replay, conflict, before, after } = answers;
  const judged: [name: string, Judgement][] = [['create', aboutCreate(answers)]];
  if (create.error?.outcome !== 'refused') {
    judged.push(['the same again', aboutReplay(answers)]);
    judged.push(['another body, same key', aboutConflict(answers)]);
    judged.push(['balance', aboutBalance(answers)]);
  }
  return {
    model: model.id,
    idempotencyKey,
    replayChargesOnce: chargesOnce(answers),
    conflict: conflictOf(answers),
    taskIds: [...new Set([create, replay, conflict].flatMap(({ task }) => task?.taskId ?? []))],
    balance: { before, after },
    findings: judged.map(([name, [level, says, status]]): Finding => ({ name, level, says: commands(says), status })),
  };
}

type Judgement = readonly [level: Finding['level'], says: string, status?: number];

/** By how much the balance fell; null where one of the two is not known. */
function fallOf(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : from - to;
}

/** Whether a repeated submit is paid once. Task IDs decide; the balance shows a charge that made no task. */
function chargesOnce({ create, replay, before, between, model }: Answers): 'yes' | 'no' | 'unknown' {
  if (create.task === undefined || replay.task === undefined) return 'unknown';
  if (create.task.taskId !== replay.task.taskId) return 'no';
  return (fallOf(before, between) ?? 0) <= (create.task.reservedCredits ?? model.price) ? 'yes' : 'unknown';
}

/** The answer to another body under the same key. */
function conflictOf({ create, conflict: { task, error } }: Answers) {
  if (task !== undefined) return task.taskId === create.task?.taskId ? 'firstTask' : 'secondTask';
  return error === undefined ? 'notTried' : error.outcome;
}

const COMPARE = 'Compare the balance, and run this again: that pays for a new task.';

function unanswered({ error }: Answer, then: string): Judgement {
  return ['fail', `UNKNOWN, MAY BE PAID: ${error?.message} ${then}`];
}

function aboutCreate({ create, replay, model, idempotencyKey }: Answers): Judgement {
  const { task, error } = create;
  if (error?.outcome === 'refused') {
    const { message, status } = judge(error);
    return ['fail', message, status];
  }
  if (error !== undefined) {
    if (replay.task !== undefined) return unanswered(create, `The same again gave task ${replay.task.taskId}.`);
    const command = `rivya-temporal generate --model ${model.id} --prompt "${PROMPT}" --idempotency-key ${idempotencyKey}`;
    return unanswered(create, `Wait for its task, or pay for one where there is none, with: ${command}`);
  }
  if (task === undefined) return ['warn', 'not sent, so nothing was paid'];
  const { taskId, reservedCredits } = task;
  const says = `task ${taskId}, reserved credits: ${reservedCredits ?? 'not in the answer'}`;
  if ((reservedCredits ?? 0) <= model.price) return ['ok', says];
  return ['warn', `${says}, MORE than the ${model.price} of the API's list; nothing more was posted`];
}

function aboutReplay(answers: Answers): Judgement {
  const { create, replay, before, between } = answers;
  const { task, error } = replay;
  if (error?.outcome === 'unknown') return unanswered(replay, COMPARE);
  if (error !== undefined) return ['fail', `refused, so whether it is paid once is unknown. ${error.message}`];
  if (task === undefined) return ['fail', 'not tried, so whether it is paid once is unknown'];
  const { taskId } = task;
  if (create.task === undefined)
    return ['fail', `task ${taskId}; whether it was made twice is unknown. Run this again.`];
  const once = chargesOnce(answers);
  if (once === 'yes') return ['ok', 'the same task: a repeated submit is paid once'];
  const again = `the same task, but THE BALANCE FELL BY ${fallOf(before, between)}: it was charged again, or something else used the account. Run this again while nothing else does.`;
  const second = `A SECOND TASK, ${taskId}: ONE KEY WAS PAID TWICE. A submit whose answer is lost can be paid twice on this account. Ask Rivya. Until then set options.idempotencyWindow to "1s": an unanswered submit then holds for a person and is not repeated.`;
  return ['fail', once === 'no' ? second : again];
}

function aboutConflict(answers: Answers): Judgement {
  const { conflict, between, after } = answers;
  const { task, error } = conflict;
  const kind = conflictOf(answers);
  const second = `A SECOND TASK, ${task?.taskId}: here a key does not stand for one request. This package sends the same bytes under a key, but nothing catches a program that does not.`;
  if (kind === 'notTried') return ['warn', 'not tried: it could have been paid as well'];
  if (kind === 'unknown') return unanswered(conflict, COMPARE);
  if (kind === 'firstTask') return ['warn', 'the first task: this API does not compare bodies'];
  if (kind === 'secondTask') return ['fail', second];
  const cost = fallOf(between, after) ?? 0;
  if (cost > 0) return ['fail', `refused (${error?.code}), but THE BALANCE FELL BY ${cost}`];
  if (error?.code === 'idempotency_conflict') return ['ok', `refused (${error.code}): nothing was made or paid`];
  return ['warn', `refused (${error?.code}, not idempotency_conflict): nothing was made or paid`];
}

function aboutBalance({ before, after }: Answers): Judgement {
  const fell = fallOf(before, after);
  if (fell === null) return ['warn', 'cannot be read, so only the answers show what was paid'];
  return ['ok', `${before} before, ${after} after: it fell by ${fell}`];
}
