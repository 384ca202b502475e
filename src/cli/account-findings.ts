/** What `doctor` says of the account. Pure. */
import { apiTaskQueue } from '../contract/index.js';
import type { SeenAccount } from './account-handle.js';
import { adviceOf, rateText } from './account-page.js';
import { ok, warn, type Finding } from './findings.js';

const NAME = 'account';
const SOME = ['a Worker'];
const GIVE_BACK = 'To give it back to the account: rivya-temporal account set-rate default';

/** @param seen - Null where there has never been an account. */
export function accountFindings(seen: SeenAccount | null, taskQueue: string): Finding[] {
  const queue = apiTaskQueue(taskQueue);
  if (seen === null) {
    return [warn(NAME, `none on "${queue}" yet. A Worker with the role "api" starts it: rivya-temporal worker`)];
  }
  const { state, look } = seen;
  if (state === null) return [ok(NAME, `runs on "${queue}", and no Worker has reported to it yet`)];
  const { set, by, closedUntil } = state.rate;
  // Other lines of doctor name missing Workers and search attributes.
  const others = { heldBy: {}, pollers: { workflows: SOME, results: SOME, api: SOME } };
  const findings = adviceOf({ ...seen, look: { ...look, ...others } }).map((one) => warn(NAME, one));
  if (by === 'person') findings.push(warn('rate', `${rateText(state.rate)}. ${GIVE_BACK}`));
  else if (closedUntil !== null) findings.push(warn('rate', `closed until ${closedUntil}: the API has answered 429`));
  else if (set !== null) findings.push(warn('rate', `${rateText(state.rate)}. It rises again by itself`));
  return findings.length > 0
    ? findings
    : [ok(NAME, `runs on "${queue}", nothing is held or stopped; ${rateText(state.rate)}`)];
}
