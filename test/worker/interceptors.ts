/** Workflow interceptors of a user, which tell a sink the type of each Workflow that starts. */
import { proxySinks, workflowInfo, type Sinks, type WorkflowInterceptors } from '@temporalio/workflow';

interface Seen extends Sinks {
  readonly seen: { workflow(type: string): void };
}

export const interceptors = (): WorkflowInterceptors => ({
  inbound: [
    {
      execute(input, next) {
        proxySinks<Seen>().seen.workflow(workflowInfo().workflowType);
        return next(input);
      },
    },
  ],
});
