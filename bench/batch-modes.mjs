// The three ways to make many generations that bench/batch.mjs compares: how each is started, and what it waits for.
import { BatchFiles } from '../dist/src/batch/files.js';
import { BATCH_WORKFLOW_TYPE, WORKFLOW_TYPE } from '../dist/src/contract/index.js';
import { identityOf, readBatchSettings, readInput } from '../dist/src/policy/index.js';
import { FileStore } from '../dist/src/storage/index.js';

export const BATCH = 'rivyaBatch';
export const LOOP = 'loop of child Workflows';
export const NAIVE = 'all at once, polled every 5 s';
/** Queue of the Worker of each mode, and of the loop itself. */
const QUEUE = 'rivya';

/**
 * Each starts `prompts` under `id` and gives the handle of the Workflow that ends with the last item; none where there is no
 * such Workflow. Items are `<id>/<number>`.
 */
export const MODES = {
  [BATCH]: {
    worker: 'ours',
    itemType: WORKFLOW_TYPE,
    async start({ client, store, id, prompts, maxInFlight }) {
      const manifest = await writeManifest(store, id, prompts);
      const settings = readBatchSettings({ maxInFlight });
      const args = [{ manifest: manifest.sha256, settings }];
      return client.workflow.start(BATCH_WORKFLOW_TYPE, { workflowId: id, taskQueue: QUEUE, args });
    },
  },
  [LOOP]: {
    worker: 'loop',
    itemType: WORKFLOW_TYPE,
    async start({ client, id, prompts, maxInFlight }) {
      const args = [{ prompts, maxInFlight, taskQueue: QUEUE }];
      return client.workflow.start('plainLoop', { workflowId: id, taskQueue: 'loop', args });
    },
  },
  // It pays again where a reply is lost, and stores nothing.
  [NAIVE]: {
    worker: 'plain',
    itemType: 'plainGeneration',
    async start({ client, id, prompts }) {
      const start = (prompt, n) => {
        const args = [{ model: 'z-image', prompt }];
        return client.workflow.start('plainGeneration', { workflowId: `${id}/${n}`, taskQueue: QUEUE, args });
      };
      await Promise.all(prompts.map(start));
      return null;
    },
  },
};

function writeManifest(store, batchId, prompts) {
  async function* source() {
    for (const [n, prompt] of prompts.entries()) {
      const input = { model: 'z-image', prompt };
      const { digest } = identityOf(readInput(input));
      yield { id: `${n}`, variant: 1, workflowId: `${batchId}/${n}`, input, digest, priceClass: 0, carried: {} };
    }
  }
  const classes = [{ model: 'z-image', items: prompts.length, estimate: 1 }];
  const about = { classes, columns: [], source: null, api: 'emulator' };
  return new BatchFiles(new FileStore(`file:${store}`), batchId).writeManifest(source, about);
}
