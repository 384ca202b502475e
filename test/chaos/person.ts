/** The person who looks after held generations: mends what is wrong and resumes. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { GenerationClient } from '../../src/client.js';
import {
  accountWorkflowId,
  DEFAULT_TASK_QUEUE,
  FAILURE,
  MEMO_FIELD,
  SHARED_CODES,
  type GenerationMemo,
} from '../../src/contract/index.js';
import type { Ledger } from '../../src/emulator/index.js';

/** How often the list is looked through. */
const ROUND_MS = 2_000;

export interface Person {
  /** How often which hold was released. */
  readonly released: ReadonlyMap<string, number>;
  leave(): Promise<void>;
}

export function employ(client: Client, ledger: () => Promise<Ledger>): Person {
  const generations = new GenerationClient(client);
  const released = new Map<string, number>();
  const leaving = new AbortController();

  async function round(): Promise<void> {
    const held: { workflowId: string; memo: GenerationMemo; hold: NonNullable<GenerationMemo['hold']> }[] = [];
    for await (const { workflowId, memo: fields } of client.workflow.list({ query: "ExecutionStatus = 'Running'" })) {
      const memo = fields?.[MEMO_FIELD] as GenerationMemo | undefined;
      if (memo?.hold != null) held.push({ workflowId, memo, hold: memo.hold });
    }
    const shared = [...new Set(held.map(({ hold }) => hold.code))].filter((code) => SHARED_CODES.includes(code));
    // While the account keeps a cause open, a resume of one generation holds again. It refuses what is no cause of its own.
    const account = client.workflow.getHandle(accountWorkflowId(DEFAULT_TASK_QUEUE));
    const release = (code: string) => account.executeUpdate('release', { args: [{ code }] });
    await Promise.allSettled(shared.map(release));
    const unresolved = held.some(({ hold }) => hold.code === FAILURE.SubmitUnresolved);
    // What the Rivya Studio shows a person: the tasks that there are.
    const tasks = unresolved ? (await ledger()).tasks : {};
    await Promise.all(
      held.map(async ({ workflowId, memo, hold }) => {
        const own = Object.entries(tasks).find(([, { key }]) => key === memo.idempotencyKey);
        const found = own === undefined ? { reason: 'there is no such task' } : { taskId: own[0] };
        try {
          await generations.handle(workflowId).resume(hold.code === FAILURE.SubmitUnresolved ? found : {});
          released.set(hold.code, (released.get(hold.code) ?? 0) + 1);
        } catch {
          // A resume that comes too late is refused; the next round sees what holds then.
        }
      }),
    );
  }

  const work = (async (): Promise<void> => {
    while (!leaving.signal.aborted) {
      await sleep(ROUND_MS);
      // Whatever is down now is up again in one of the next rounds.
      await round().catch(() => undefined);
    }
  })();
  return {
    released,
    leave: () => {
      leaving.abort();
      return work;
    },
  };
}
