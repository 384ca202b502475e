import type { GenerationHandle } from '../../client.js';
import { readSettings } from '../../config.js';
import { known, openTemporal } from '../context.js';
import { STATUS } from '../errors.js';
import { examples, type Register } from '../options.js';
import { print } from '../output.js';

interface ResumeOptions {
  readonly taskId?: string;
  readonly reason?: string;
}

const NO_WORKER = 'No Worker answers, so it waits as a Signal until one does. Start one with: rivya-temporal worker';

/** The commands that steer a running generation: `resume`, `check-now`, `cancel`. */
export const registerSteering: Register = (program, run) => {
  const command = (name: string, description: string, example: string): ReturnType<typeof program.command> =>
    program
      .command(name)
      .description(description)
      .argument('<workflow-id>', 'Workflow ID, as generate or list printed it')
      .addHelpText('after', examples(example));

  command('resume', 'Let a held generation go on, once its cause is mended.', 'resume z-image-a-red-fox-1a2b3c')
    .option('--task-id <id>', 'after an unanswered submit: its task, found in the Rivya Studio')
    .option('--reason <text>', 'after an unanswered submit: post again, although a task may exist and be paid for')
    .action((workflowId: string, { taskId, reason }: ResumeOptions) =>
      run(() =>
        steer(workflowId, async (handle) => {
          const done = await handle.resume({
            ...(taskId !== undefined && { taskId }),
            ...(reason !== undefined && { reason }),
          });
          return done === 'sent' ? NO_WORKER : `Resumed. Take up the wait with: rivya-temporal wait ${workflowId}`;
        }),
      ),
    );

  command('check-now', 'Check the status now, never within 5 s of the last check.', 'check-now my-video').action(
    (workflowId: string) =>
      run(() =>
        steer(workflowId, async (handle) =>
          (await handle.checkNow()) === 'sent'
            ? NO_WORKER
            : 'The status is checked as soon as the last check is 5 s old.',
        ),
      ),
  );

  command(
    'cancel',
    'Stop waiting for a generation. Its task goes on at Rivya, which has no cancel.',
    'cancel my-video',
  ).action((workflowId: string) =>
    run(() =>
      steer(workflowId, async (handle) => {
        const state = await handle.state();
        await handle.cancel();
        const task = state?.taskId ?? null;
        return task === null
          ? 'Cancelled. If a task comes of a submit that is under way, its ID stands in the memo: rivya-temporal status'
          : `Cancelled. Task ${task} goes on at Rivya; take it up without paying: rivya-temporal generate --model ${state?.model} --task-id ${task}`;
      }),
    ),
  );
};

async function steer(workflowId: string, act: (handle: GenerationHandle) => Promise<string>): Promise<number> {
  const { handle } = await known(await openTemporal(readSettings()), workflowId);
  print(await act(handle));
  return STATUS.done;
}
