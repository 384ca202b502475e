import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { FailureDetails } from '../src/contract/index.js';
import { hasAttributes } from '../src/temporal/search-attributes.js';

/**
 * Does the work of an Activity, and adds to its result or failure whether the namespace has the search attributes: a
 * Workflow that writes an unregistered one stands still for ever, and its own code cannot ask.
 */
export async function telling<Result extends object>(work: () => Promise<Result>): Promise<Result> {
  const attributes = await hasAttributes(Context.current().client);
  if (attributes === undefined) return work();
  try {
    return { ...(await work()), attributes };
  } catch (error) {
    const details = error instanceof ApplicationFailure ? error.details?.[0] : null;
    if (typeof details === 'object' && details !== null) Object.assign(details as FailureDetails, { attributes });
    throw error;
  }
}
