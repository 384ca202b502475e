/** Links into the Temporal UI. */

/** A namespace, and the base of its Temporal UI or null where none is known. */
type Place = { readonly uiUrl: string | null; readonly namespace: string };

const HELD = "ExecutionStatus = 'Running' AND RivyaStatus";

/** Queries for what holds, by its cause. */
export const HELD_VIEWS = {
  all: `${HELD} STARTS_WITH 'held:'`,
  credits: `${HELD} = 'held:insufficient_credits'`,
  key: `${HELD} STARTS_WITH 'held:api_'`,
  stop: `${HELD} = 'held:stopped'`,
  'unanswered submit': `${HELD} = 'held:SubmitUnresolved'`,
  result: `${HELD} = 'held:ResultUnavailable'`,
} as const;

/** Query for Workflows that stand still because their Workflow Tasks fail. A Service that does not know the attribute refuses it. */
export const FAILING_VIEW = "TemporalReportedProblems IS NOT NULL AND ExecutionStatus = 'Running'";

/** Saved views for the list of the Temporal UI. Closed Workflows keep their last values, so some ask for running ones. */
const VIEWS = {
  'rivya held': HELD_VIEWS.all,
  'rivya held by credits': HELD_VIEWS.credits,
  'rivya held by the key': HELD_VIEWS.key,
  'rivya held by a stop': HELD_VIEWS.stop,
  'rivya held by an unanswered submit': HELD_VIEWS['unanswered submit'],
  'rivya held by a result': HELD_VIEWS.result,
  'rivya failed with a paid task': "RivyaStatus = 'failed' AND RivyaTaskId IS NOT NULL",
  'rivya failing Workflow Tasks': FAILING_VIEW,
  'rivya account': "WorkflowType = 'rivyaAccount' AND ExecutionStatus = 'Running'",
  'rivya batch': "RivyaBatchId = 'NAME OF THE BATCH'",
} as const;

/** Page of a Workflow, or null without a UI. */
export function workflowLink({ uiUrl, namespace }: Place, id: string): string | null {
  return uiUrl && `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(id)}`;
}

/** The views by name, each as a link that saves it in the browser, or as its query without a UI. */
export function viewLinks({ uiUrl, namespace }: Place): Record<string, string> {
  const list = `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows`;
  const linkOf = (query: string, savedQuery: string) =>
    `${list}?${new URLSearchParams({ query, savedQuery }).toString()}`;
  const views = Object.entries(VIEWS).map(([name, query]) => [name, uiUrl === null ? query : linkOf(query, name)]);
  return Object.fromEntries(views) as Record<string, string>;
}
