// Keeps the history of a Workflow for the replay tests: node scripts/record-history.mjs <workflow-id> [run-id]
// The Workflow ID is part of the idempotency key, so it becomes the file name. A kept history is never recorded again.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { connectClient } from '../dist/src/temporal/connect.js';

const [workflowId, runId] = process.argv.slice(2);
if (!/^[a-z0-9-]+$/.test(workflowId ?? ''))
  throw new Error('Give one Workflow ID of lower-case letters, digits and dashes.');
const file = new URL(`../test/histories/${workflowId}.json`, import.meta.url);
if (existsSync(file)) throw new Error(`${workflowId}.json is kept already. Record the new shape under another ID.`);
mkdirSync(new URL('.', file), { recursive: true });
const { client } = await connectClient();
const history = historyToJSON(await client.workflow.getHandle(workflowId, runId).fetchHistory());
// Names of machines and paths say nothing to a replay.
const neutral = { identity: 'recorder', stackTrace: '' };
const clean = JSON.parse(history, (key, value) => (key in neutral ? neutral[key] : value));
const text = `${JSON.stringify(clean, null, 1)}\n`;
writeFileSync(file, text);
// A test compares with this list, so that none is recorded anew or lost without a word.
const list = new URL('../test/replay/kept.json', import.meta.url);
const kept = JSON.parse(readFileSync(list, 'utf8'));
kept[`${workflowId}.json`] = createHash('sha256').update(text).digest('hex');
const sorted = Object.fromEntries(Object.entries(kept).toSorted(([a], [b]) => a.localeCompare(b)));
writeFileSync(list, `${JSON.stringify(sorted, null, 2)}\n`);
await client.connection.close();
