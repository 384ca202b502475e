/** The account as people read it on the command line: the facts of its page in the Temporal UI, counted now. Pure. */
import { apiTaskQueue, rateIdentity, STOPPED, type AccountState } from '../contract/index.js';
import { accountAdvice, backlogMs, callsText, formatDuration } from '../policy/index.js';
import type { Cell } from '../batch/csv.js';
import type { SeenAccount } from './account-handle.js';
import { number } from './batch-progress.js';

/** A fact, and its value; null where there is nothing to say. */
type Fact = readonly [string, Cell];

/** Causes that wait for a person. What is being released ends by itself. */
export function openCauses(state: AccountState | null): AccountState['causes'] {
  return state?.causes.filter(({ phase }) => phase === 'open') ?? [];
}

/** How the account stands, in a word or two. */
export function wordOf({ state, isRunning, problem }: Pick<SeenAccount, 'state' | 'isRunning' | 'problem'>): string {
  if (problem !== null) return 'stands still';
  const open = openCauses(state);
  if (open.some(({ code }) => code === STOPPED)) return 'stopped';
  if (open.length > 0) return `held: ${open.map(({ code }) => code).join(', ')}`;
  if (state !== null && state.causes.length > 0) return 'releasing';
  return isRunning ? 'ok' : 'does not run';
}

/** One line, for those who watch. */
export function lineOf(seen: SeenAccount, queue: string): string {
  const { look, state } = seen;
  const held = total(look.heldBy);
  const parts = [
    `${number(Math.round(look.perMinute))} calls a minute`,
    look.backlog > 0 && `${number(look.backlog)} wait${leftOf(seen)}`,
    `${number(look.running)} running`,
    held > 0 && `${number(held)} held`,
    state?.balance?.credits != null && `${number(state.balance.credits)} credits`,
  ];
  return `${queue}: ${wordOf(seen)}, ${parts.filter((part) => typeof part === 'string').join(', ')}`;
}

/** The facts of the page, in their order. `now`: milliseconds since the epoch. */
export function factsOf(seen: SeenAccount, now: number): Fact[] {
  const { state, look, isFresh } = seen;
  const ago = (time: string): string => `${formatDuration(Math.max(0, now - Date.parse(time)))} ago`;
  const { balance = null, rate = null, rateLimited = null } = state ?? {};
  const said = adviceOf(seen);
  const silent = seen.problem === null ? 'no Worker answers' : 'it stands still';
  const by = state === null ? null : isFresh ? 'the account itself' : `its memo, because ${silent}`;
  return [
    ...(said.length === 0 ? ['Nothing: it goes on by itself.'] : said).map((line, n): Fact => [
      n === 0 ? 'what to do' : '',
      line,
    ]),
    ['credits', balance && `${balance.credits ?? 'not reported'}${balance.simulated ? ', simulated' : ''}`],
    ['asked', balance && ago(balance.askedAt)],
    ['running', number(look.running)],
    ['held', heldText(look.heldBy)],
    ['queue', look.backlog === 0 ? 'empty' : `${number(look.backlog)} calls wait${leftOf(seen)}`],
    ['oldest', look.backlog === 0 ? null : `waits for ${formatDuration(look.backlogAgeMs)}`],
    ['pace', `${number(Math.round(look.perMinute))} calls a minute`],
    ['rate', rate && rateText(rate)],
    ['closed until', rate?.closedUntil ?? null],
    ['next step', rate?.nextStepAt ?? null],
    ['answers 429', rateLimited && rateLimitedText(rateLimited, ago)],
    ['failed calls', state && callsText(state)],
    ['Workers', workersText(look.pollers)],
    ['says', by && `${by}; last event ${ago(state?.updatedAt ?? '')}`],
  ];
}

/** The causes as rows of a table, heads first; empty where there are none. */
export function causeRows({ state }: SeenAccount): Cell[][] {
  const causes = state?.causes ?? [];
  if (causes.length === 0) return [];
  const heads = ['CAUSE', 'PHASE', 'SINCE', 'PROBES', 'NEXT PROBE', 'MESSAGE'];
  const rows = causes.map((one) => [one.code, one.phase, one.since, one.probes, one.nextProbeAt, one.message]);
  return [heads, ...rows];
}

/** The Workers that have reported or poll, as rows of a table, heads first; empty where there are none. */
export function workerRows({ state, look }: SeenAccount): Cell[][] {
  const reported = state?.workers ?? {};
  const roles = Object.entries(look.pollers);
  const identities = [...new Set([...Object.keys(reported), ...roles.flatMap(([, pollers]) => pollers)])];
  if (identities.length === 0) return [];
  const rows = identities.toSorted().map((identity): Cell[] => {
    const polls = roles.flatMap(([role, pollers]) => (pollers.includes(identity) ? [role] : []));
    const { fingerprint = null, perMinute = null } = reported[identity] ?? {};
    return [identity, polls.join(', ') || 'does not poll', fingerprint, perMinute];
  });
  return [['WORKER', 'POLLS', 'KEY', 'TOLD A MINUTE'], ...rows];
}

/** What a person does now, in sentences: the words of the page in the Temporal UI. Empty where all is well. */
export function adviceOf({ state, look, isRunning, problem }: SeenAccount): string[] {
  const said = problem === null ? [] : [standsStill(problem)];
  if (state !== null) said.push(...accountAdvice({ ...state, look, workers: presentOf(state, look) }));
  if (state !== null) said.push(...changedRate(state, look));
  const ended = 'The account was ended by somebody; the next start or report of a Worker starts it again.';
  return isRunning ? said : [...said, ended];
}

/** That the account releases nobody and stops nothing, and why. */
export function standsStill(problem: string): string {
  return `The account stands still, so it releases nobody and takes no request: ${problem}.`;
}

/** What to do where somebody has changed the rate at the Service since the account has looked. */
function changedRate({ rate, queue }: AccountState, { setAtService: set }: SeenAccount['look']): string[] {
  const isOfPerson = set !== null && set.identity !== rateIdentity(queue);
  if (isOfPerson === (rate.by === 'person')) return [];
  const what = isOfPerson
    ? `${set.perSecond} calls a second were set at the Service by ${set.identity} (${set.reason}), and the account has not looked since. To give the rate back to the account: rivya-temporal account set-rate default. To keep it`
    : 'The rate that a person had set is gone from the Service, and the account has not looked since. Have it look';
  return [`${what}: rivya-temporal account refresh`];
}

/** The Workers of a state that still poll: it forgets the others at its next look. */
function presentOf({ workers }: AccountState, { pollers }: SeenAccount['look']): AccountState['workers'] {
  return Object.fromEntries(Object.entries(workers).filter(([identity]) => pollers.api.includes(identity)));
}

/** The rate in force, and whose it is. */
export function rateText({ configured, set, by, reason, closedUntil }: AccountState['rate']): string {
  const told = configured === null ? 'no Worker has said its limit yet' : `Workers were told ${number(configured)}`;
  const why = reason === '' ? '' : `: ${reason}`;
  if (closedUntil !== null) return `0 calls a minute until ${closedUntil}${why} (${told})`;
  if (set === null) return `${told} a minute`.replace('yet a minute', 'yet');
  return `${number(set)} calls a minute, set by ${by === 'person' ? 'a person' : 'the account'}${why} (${told})`;
}

function rateLimitedText({ lastHour, lastAt, byOthers }: AccountState['rateLimited'], ago: (time: string) => string) {
  if (lastAt === null) return null;
  return `${number(lastHour)} in the hour before the last event, the last ${ago(lastAt)}${byOthers ? '; not by us alone' : ''}`;
}

function heldText(heldBy: SeenAccount['look']['heldBy']): string {
  if (heldBy === null) return 'not known: the namespace has no search attributes. Run: rivya-temporal setup';
  const codes = Object.entries(heldBy).toSorted(([, a], [, b]) => b - a);
  return codes.length === 0 ? '0' : codes.map(([code, count]) => `${number(count)} ${code}`).join(', ');
}

function workersText(pollers: SeenAccount['look']['pollers']): string {
  return Object.entries(pollers)
    .map(([role, those]) => `${those.length} ${role}`)
    .join(', ');
}

/** How long the backlog takes, by the rate in force. */
function leftOf({ look, state }: Pick<SeenAccount, 'look' | 'state'>): string {
  const ms = state === null ? null : backlogMs({ ...state, look });
  return ms === null ? '' : `, about ${formatDuration(ms)} of work at this rate`;
}

function total(heldBy: SeenAccount['look']['heldBy']): number {
  return Object.values(heldBy ?? {}).reduce((sum, count) => sum + count, 0);
}

/** The title of the page. */
export function titleOf(seen: SeenAccount, taskQueue: string): string {
  return `Account of ${apiTaskQueue(taskQueue)}: ${wordOf(seen)}`;
}
