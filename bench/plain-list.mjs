// The least that a list can cost: Temporal's client alone connects and lists.
import { Client, Connection } from '@temporalio/client';

const connection = await Connection.connect({ address: process.env.TEMPORAL_ADDRESS });
for await (const { workflowId } of new Client({ connection }).workflow.list({})) console.log(workflowId);
process.exit(0);
