import { randomUUID } from 'node:crypto';
import { isGrpcServiceError, type Connection } from '@temporalio/client';
import { attributeStates } from '../../src/temporal/search-attributes.js';
import { until } from './until.js';

const NOT_FOUND = 5;

/** Registers a namespace of its own for a test, without search attributes; resolves when the Service knows it. */
export async function newNamespace(
  connection: Pick<Connection, 'workflowService' | 'operatorService'>,
): Promise<string> {
  const namespace = `test-${randomUUID()}`;
  // The shortest that the Service takes.
  const workflowExecutionRetentionPeriod = { seconds: 86_400 as never };
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
  await until(() => attributeStates(connection, namespace).then(Boolean, () => false));
  await until(() => isServed(connection, namespace));
  return namespace;
}

/** Whether a start would go through: the parts of the Service learn of a namespace one after the other. */
async function isServed({ workflowService }: Pick<Connection, 'workflowService'>, namespace: string): Promise<boolean> {
  try {
    await workflowService.describeWorkflowExecution({ namespace, execution: { workflowId: 'none' } });
  } catch (error) {
    return isGrpcServiceError(error) && (error.code as number) === NOT_FOUND && !/namespace/i.test(error.details);
  }
  return true;
}
