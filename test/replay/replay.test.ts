/** Workflows that started on an earlier version go on with this one. Needs no server. */
import { readdirSync, readFileSync } from 'node:fs';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { expect, inject, test } from 'vitest';
import { quietRuntime } from '../support/harness.js';

const directory = new URL('../histories/', import.meta.url);
const kept = readdirSync(directory).filter((name) => name.endsWith('.json'));

test('there are kept histories', () => expect(kept).not.toEqual([]));

test.each(kept)('%s replays on the present code', async (name) => {
  quietRuntime();
  const history = historyFromJSON(JSON.parse(readFileSync(new URL(name, directory), 'utf8')));
  try {
    // Workflow IDs are part of the key, so the file name carries the one it was recorded under.
    await Worker.runReplayHistory({ workflowBundle: { codePath: inject('bundle') } }, history, name.replace(/\.json$/, ''));
  } catch (error) {
    throw new Error(
      `A Workflow that runs now would break on this code. Put the change behind patched('…') from @temporalio/workflow and keep the old branch; never record ${name} again.`,
      { cause: error },
    );
  }
});
