import { Option } from 'commander';
import { readSettings } from '../../config.js';
import { openTemporal } from '../context.js';
import { openOutput } from '../copies.js';
import { STATUS, UsageError } from '../errors.js';
import { workflowLink } from '../../temporal/links.js';
import { collect, examples, OUTPUT, type Flags, type Register, type Texts } from '../options.js';
import { print, printJson, quoted, say } from '../output.js';
import { followAndReport, withWait } from '../follow.js';
import { readRequest, type RequestOptions } from '../request.js';
import { interruption } from '../terminal.js';

type Options = RequestOptions & Texts<'taskQueue' | 'output'> & Flags<'json' | 'dryRun'> & { readonly wait: boolean };

const REFERENCE =
  'media to make it from: image, video or audio, then a path on the Worker, a URI of its store or an HTTPS URL; repeatable';

export const register: Register = (command) => {
  command
    .option('--model <id>', 'public model ID, for example z-image (needed)')
    .option('--prompt <text>', 'what to make')
    .addOption(
      new Option('--prompt-file <file>', 'the same from a text file, or from stdin with -').conflicts('prompt'),
    )
    .option('--param <key=value>', 'a model parameter as text, or key:=json for a JSON value; repeatable', collect)
    .option('--reference <kind:source>', REFERENCE, collect)
    .option('--id <workflow-id>', 'Workflow ID, at most 255 bytes; the same ID is the same paid generation')
    .addOption(
      new Option('--id-from-input', 'a Workflow ID from the request: the same one is paid once').conflicts('id'),
    )
    .option('--task-id <id>', 'wait for a task that exists; nothing is paid')
    .option('--client-request-id <id>', 'your own trace ID, sent to the API')
    .option('--idempotency-key <key>', 'your own idempotency key, sent as it is')
    .option('--max-attempts <n>', 'paid tasks at most, if one fails (1 to 10; default 1)')
    .option('--max-credits <n>', 'credits at most, by the starting price of the model')
    .option('--deadline <duration>', 'how long to wait for the task (default 6h)')
    .option('--submit-deadline <duration>', 'how long to try to submit (default 24h)')
    .option('--idempotency-window <duration>', 'how long an unanswered submit is repeated (default 12h)')
    .option('--on-action-needed <hold|fail>', 'when a person must act: wait, or fail (default hold)')
    .option('--label <name=value>', 'a label of your own; repeatable', collect)
    .option('--task-queue <name>', 'task queue of the Workers (default RIVYA_TASK_QUEUE, then rivya)')
    .addOption(new Option(OUTPUT, 'copy the files out of the store into this folder').conflicts('wait'))
    .option('--no-wait', 'start only, and print the Workflow ID')
    .option(
      '--dry-run',
      'only say what would be sent, under which key and at which price; needs no Temporal; status 2 where a Worker would refuse it',
    )
    .addHelpText(
      'after',
      `${examples(
        'generate --model z-image --prompt "a red fox in the snow"',
        'generate --model sora-2 --prompt "it runs" --reference image:./fox.png',
        'generate --model sora-2 --prompt "waves at night" --param n_frames=10 --json',
        'generate --model z-image --prompt "a red fox" --id fox-2   # another ID is paid for anew',
        'generate --model z-image --prompt-file fox.txt --id-from-input --output ./media',
      )}

Without --id, each start is a generation of its own and is paid. With --id-from-input, the same model, prompt, params,
references (a file by its path, not its content), trace ID and idempotency key are the same generation, also after an
interruption: it is waited for, or its result is printed again. Labels and limits do not count. To pay for another one
of the same request, give --id.

--output never replaces a file of another content; a file that could not be copied gives exit status 5.
A path of --reference is read by the Worker (with dev: by dev), below the directories in its RIVYA_REFERENCE_ROOTS only.`,
    );
  return generate;
};

async function generate(options: Options): Promise<number> {
  const { json = false, wait, taskQueue } = options;
  const settings = readSettings();
  const request = await readRequest(options);
  const { input, workflowId } = request;
  if (taskQueue?.trim() === '') throw new UsageError('--task-queue: is empty. Nothing was sent and nothing was paid.');
  if (options.dryRun === true) return (await import('../dry-run.js')).dryRun(request, json);
  const output = await openOutput(options.output, settings);
  const temporal = await openTemporal(settings, taskQueue);
  const interrupted = interruption();
  const handle = await withWait(workflowId, temporal.generations.start(input, { workflowId }));
  if (wait) {
    say(`Workflow ${workflowId}  ${workflowLink(temporal, workflowId) ?? ''}`.trimEnd());
    return followAndReport(temporal, handle, { json, interrupted, output });
  }
  if (json) printJson({ workflowId, status: 'started' });
  else print(workflowId);
  say(`Started. Wait for it with: rivya-temporal wait ${quoted(workflowId)}`);
  return STATUS.done;
}
