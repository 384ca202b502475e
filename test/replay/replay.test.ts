/** Workflows that started on an earlier version go on with this one. Needs no server. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { expect, inject, test } from 'vitest';
import { quietRuntime } from '../support/harness.js';

const directory = new URL('../histories/', import.meta.url);
const kept = readdirSync(directory).filter((name) => name.endsWith('.json'));

test('every history that was ever kept is here, as it was recorded', () => {
  const digest = (name: string): string =>
    createHash('sha256')
      .update(readFileSync(new URL(name, directory)))
      .digest('hex');
  const recorded = JSON.parse(readFileSync(new URL('kept.json', import.meta.url), 'utf8')) as object;
  expect(Object.fromEntries(kept.map((name) => [name, digest(name)]))).toEqual(recorded);
});

test.each(kept)('%s replays on the present code', async (name) => {
  quietRuntime();
  const history = historyFromJSON(JSON.parse(readFileSync(new URL(name, directory), 'utf8')));
  // Workflow IDs are part of the key, so the file name carries the one it was recorded under.
  const workflowId = name.replace(/\.json$/, '');
  const replay = Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundle') } }, history, workflowId);
  await expect(
    replay,
    `A Workflow that runs now would break on this code. Put the change behind patched('…') of @temporalio/workflow, keep the old branch, and never record ${name} again.`,
  ).resolves.toBeUndefined();
});
