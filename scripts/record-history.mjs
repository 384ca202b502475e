// Keeps the history of a Workflow for the replay tests: node scripts/record-history.mjs <workflow-id>
// The Workflow ID is part of the idempotency key, so it becomes the file name. A kept history is never recorded again.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { connectClient } from '../dist/src/temporal/connect.js';

const [workflowId] = process.argv.slice(2);
if (!/^[a-z0-9-]+$/.test(workflowId ?? ''))
  throw new Error('Give one Workflow ID of lower-case letters, digits and dashes.');
const file = new URL(`../test/histories/${workflowId}.json`, import.meta.url);
if (existsSync(file)) throw new Error(`${workflowId}.json is kept already. Record the new shape under another ID.`);
mkdirSync(new URL('.', file), { recursive: true });
const { client } = await connectClient();
writeFileSync(file, `${historyToJSON(await client.workflow.getHandle(workflowId).fetchHistory())}\n`);
await client.connection.close();
