import type { Finding } from './diagnosis.js';
import { judge, withAction } from './errors.js';
import { PROMPT, type Answer, type Seen } from './live.js';

type Says = Omit<Finding, 'name'>;

/** Judges what was seen of an account: in fields for programs, and in findings for people. */
export function assess(seen: Seen) {
  const { idempotencyKey, model, create, replay, conflict, before, after } = seen;
  const findings: Finding[] = [{ name: 'create', ...aboutCreate(seen) }];
  if (create.error?.outcome !== 'refused') {
    findings.push({ name: 'the same again', ...aboutReplay(seen) });
    findings.push({ name: 'another body, same key', ...aboutConflict(seen) });
    findings.push({ name: 'balance', ...aboutBalance(seen) });
  }
  return {
    model: model.id,
    idempotencyKey,
    replayChargesOnce: chargesOnce(seen),
    conflict: conflictOf(seen),
    taskIds: [...new Set([create, replay, conflict].flatMap(({ task }) => task?.taskId ?? []))],
    balance: { before, after },
    findings,
  };
}

/** By how much the balance fell; null where that is not known. */
function fall(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : from - to;
}

/** Task IDs decide; the balance tells of a charge that made no task. */
function chargesOnce({ create, replay, before, between, model }: Seen): 'yes' | 'no' | 'unknown' {
  if (create.task === undefined || replay.task === undefined) return 'unknown';
  if (create.task.taskId !== replay.task.taskId) return 'no';
  return (fall(before, between) ?? 0) <= (create.task.reservedCredits ?? model.price) ? 'yes' : 'unknown';
}

/** What another body under the same key was answered with. */
function conflictOf({ create, conflict: { task, error } }: Seen) {
  if (task !== undefined) return task.taskId === create.task?.taskId ? 'firstTask' : 'secondTask';
  if (error === undefined) return 'notTried';
  return error.outcome;
}

const LOOK = 'Compare the balance, and run this again: that pays for a new task.';

/** A POST that nobody answered. */
function unanswered({ error }: Answer, then: string): Says {
  return { level: 'fail', says: `UNKNOWN, MAY BE PAID: ${error?.message} ${then}` };
}

function aboutCreate({ create, replay, model, idempotencyKey }: Seen): Says {
  const { task, error } = create;
  if (error?.outcome === 'refused') {
    const { message, action, status } = judge(error);
    return { level: 'fail', says: withAction(message, action), status };
  }
  if (error !== undefined) {
    if (replay.task !== undefined) return unanswered(create, `The same again gave task ${replay.task.taskId}.`);
    const command = `rivya-temporal generate --model ${model.id} --prompt "${PROMPT}" --idempotency-key ${idempotencyKey}`;
    return unanswered(create, `Take its task up, or pay for one where there is none, with: ${command}`);
  }
  if (task === undefined) return { level: 'warn', says: 'not sent, so nothing was paid' };
  const { taskId, reservedCredits } = task;
  const says = `task ${taskId}, reserved credits: ${reservedCredits ?? 'not told'}`;
  if ((reservedCredits ?? 0) <= model.price) return { level: 'ok', says };
  return { level: 'warn', says: `${says}, MORE than the ${model.price} of the API's list; nothing more was posted` };
}

function aboutReplay(seen: Seen): Says {
  const { create, replay, before, between } = seen;
  const { task, error } = replay;
  if (error?.outcome === 'unknown') return unanswered(replay, LOOK);
  const fail = (says: string): Says => ({ level: 'fail', says });
  if (error !== undefined) return fail(`refused, so whether it is paid once is unknown. ${error.message}`);
  if (task === undefined) return fail('not tried, so whether it is paid once is unknown');
  if (create.task === undefined)
    return fail(`task ${task.taskId}; whether it was made twice is unknown. Run this again.`);
  const once = chargesOnce(seen);
  if (once === 'yes') return { level: 'ok', says: 'the same task: a repeated submit is paid once' };
  return fail(
    once === 'no'
      ? `A SECOND TASK, ${task.taskId}: ONE KEY WAS PAID TWICE. A submit whose answer is lost can be paid twice on this account. Ask Rivya. Until then set options.idempotencyWindow to "1s": an unanswered submit then holds for a person and is not repeated.`
      : `the same task, but THE BALANCE FELL BY ${fall(before, between)}: it was charged again, or something else used the account. Run this again while nothing else does.`,
  );
}

function aboutConflict(seen: Seen): Says {
  const { conflict, between, after } = seen;
  const { task, error } = conflict;
  const cost = fall(between, after) ?? 0;
  switch (conflictOf(seen)) {
    case 'notTried':
      return { level: 'warn', says: 'not tried: it could have been paid as well' };
    case 'unknown':
      return unanswered(conflict, LOOK);
    case 'firstTask':
      return { level: 'warn', says: 'the first task: this API does not compare bodies' };
    case 'secondTask': {
      const says = `A SECOND TASK, ${task?.taskId}: here a key does not stand for one request. This package sends the same bytes under a key, but nothing catches a program that does not.`;
      return { level: 'fail', says };
    }
    case 'refused': {
      if (cost > 0) return { level: 'fail', says: `refused (${error?.code}), but THE BALANCE FELL BY ${cost}` };
      const expected = error?.code === 'idempotency_conflict';
      const says = `refused (${error?.code}${expected ? '' : ', not idempotency_conflict'}): nothing was made or paid`;
      return { level: expected ? 'ok' : 'warn', says };
    }
  }
}

function aboutBalance({ before, after }: Seen): Says {
  const fell = fall(before, after);
  if (fell === null) return { level: 'warn', says: 'cannot be read, so only the answers tell what was paid' };
  return { level: 'ok', says: `${before} before, ${after} after: it fell by ${fell}` };
}
