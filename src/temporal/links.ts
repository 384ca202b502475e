/** Links into the Temporal UI. */

/** A namespace, and the base of its Temporal UI or null where none is known. */
type Place = { readonly uiUrl: string | null; readonly namespace: string };

/** Saved views for the list of the Temporal UI. Closed Workflows keep their last values, so some ask for running ones. */
const VIEWS = {
  'rivya held': "RivyaStatus STARTS_WITH 'held:' AND ExecutionStatus = 'Running'",
  'rivya held by credits': "RivyaStatus = 'held:insufficient_credits' AND ExecutionStatus = 'Running'",
  'rivya held by the key': "RivyaStatus STARTS_WITH 'held:api_' AND ExecutionStatus = 'Running'",
  'rivya held by an unanswered submit': "RivyaStatus = 'held:SubmitUnresolved' AND ExecutionStatus = 'Running'",
  'rivya held by a result': "RivyaStatus = 'held:ResultUnavailable' AND ExecutionStatus = 'Running'",
  'rivya failed with a paid task': "RivyaStatus = 'failed' AND RivyaTaskId IS NOT NULL",
  'rivya failing Workflow Tasks': "TemporalReportedProblems IS NOT NULL AND ExecutionStatus = 'Running'",
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
