/**
 * Says with each result and failure of an Activity whether the namespace has the search attributes. It guarantees that
 * a Workflow hears so before it writes one: an unregistered attribute would stop the Workflow for ever, and its own
 * code cannot ask. `createApiActivities` calls it. It changes nothing else.
 */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { FailureDetails } from '../src/contract/index.js';
import { hasAttributes } from '../src/temporal/search-attributes.js';

export async function withAttributes<Result extends object>(work: () => Promise<Result>): Promise<Result> {
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
