/** Creates a Schedule that makes one image a day, and has it make today's at once. Run it again to see that nothing is doubled. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection, ScheduleAlreadyRunning } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { GenerationClient } from 'rivya-temporal';

const SCHEDULE_ID = process.argv[2] ?? 'fox-of-the-day';

const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
const client = new Client({ connection: await Connection.connect(connectionOptions), namespace });

try {
  await client.schedule.create({
    scheduleId: SCHEDULE_ID,
    spec: { calendars: [{ hour: 6 }] },
    // A day is not skipped because an earlier image is held, and a Service that was away does not pay for a year at once.
    policies: { overlap: 'ALLOW_ALL', catchupWindow: '10m' },
    action: {
      type: 'startWorkflow',
      workflowType: 'generateMedia',
      // The Workers that run `generateMedia`: `rivya-temporal dev`, or `rivya-temporal worker`.
      taskQueue: 'rivya',
      // The Schedule adds the time to it, so each day is a generation of its own, and paid once.
      workflowId: SCHEDULE_ID,
      args: [{ model: 'z-image', prompt: 'A fox, as it may look today' }],
    },
  });
} catch (error) {
  if (!(error instanceof ScheduleAlreadyRunning)) throw error;
}

const schedule = client.schedule.getHandle(SCHEDULE_ID);
const known = (await schedule.describe()).info.recentActions.length;
await schedule.trigger();
let workflowId: string | undefined;
while (workflowId === undefined) {
  await sleep(500);
  const { recentActions } = (await schedule.describe()).info;
  const started = recentActions.length > known ? recentActions.at(-1)?.action : undefined;
  workflowId = started?.type === 'startWorkflow' ? started.workflow.workflowId : undefined;
}
const { files, primaryUrl } = await new GenerationClient(client).handle(workflowId).result();
console.log(`${workflowId}: ${files[0]?.uri ?? primaryUrl}`);
await client.connection.close();
