import { checkWorkflowId, newWorkflowId } from '../../client.js';
import { readSettings } from '../../config.js';
import type { GenerateMediaInput, GenerationOptions } from '../../contract/index.js';
import { InvalidInput, readInput } from '../../policy/index.js';
import { openTemporal } from '../context.js';
import { STATUS, UsageError } from '../errors.js';
import { workflowLink } from '../../temporal/links.js';
import { collect, examples, type Register } from '../options.js';
import { print, printJson, say } from '../output.js';
import { readLabels, readParams, readReferences } from '../params.js';
import { followAndReport } from '../report.js';
import { interruption } from '../signals.js';

type Field =
  Exclude<keyof GenerateMediaInput, 'params' | 'references' | 'labels' | 'options'> | keyof GenerationOptions;

interface Options extends Readonly<Partial<Record<Field | 'paramsJson' | 'id', string>>> {
  readonly param?: readonly string[];
  readonly reference?: readonly string[];
  readonly label?: readonly string[];
  readonly wait: boolean;
  readonly json?: boolean;
}

export const registerGenerate: Register = (program, run) => {
  program
    .command('generate')
    .description('Run one generation and wait for its files. Each costs credits.')
    .option('--model <id>', 'public model ID, for example z-image (needed)')
    .option('--prompt <text>', 'what to make')
    .option('--param <key=value>', 'a model parameter as text, or key:=json for a JSON value; repeatable', collect)
    .option('--params-json <object>', 'model parameters as one JSON object')
    .option(
      '--reference <kind:source>',
      'media to make it from: image, video or audio, then a path on the Worker, a URI of its store or an HTTPS URL; repeatable',
      collect,
    )
    .option('--id <workflow-id>', 'Workflow ID, at most 255 bytes; the same ID is the same paid generation')
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
    .option('--no-wait', 'start only, and print the Workflow ID')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `${examples(
        'generate --model z-image --prompt "a red fox in the snow"',
        'generate --model sora-2 --prompt "it runs" --reference image:./fox.png',
        'generate --model sora-2 --prompt "waves at night" --param n_frames=10 --json',
        'generate --model z-image --prompt "a red fox" --id fox-2   # another ID is paid for anew',
      )}

A path of --reference is read by the Worker (with dev: by dev), below the directories in its RIVYA_REFERENCE_ROOTS only.`,
    )
    .action((options: Options) => run(() => generate(options)));
};

async function generate(options: Options): Promise<number> {
  const settings = readSettings();
  const { input, workflowId } = readRequest(options);
  if (options.taskQueue?.trim() === '')
    throw new UsageError('--task-queue: is empty. Nothing was sent and nothing was paid.');
  const json = options.json === true;
  const temporal = await openTemporal(settings, options.taskQueue);
  const interrupted = interruption();
  const handle = await temporal.generations.start(input, { workflowId });
  if (!options.wait) {
    if (json) printJson({ workflowId, status: 'started' });
    else print(workflowId);
    say(`Started. Wait for it with: rivya-temporal wait ${workflowId}`);
    return STATUS.done;
  }
  const link = workflowLink(temporal, workflowId);
  say(`Workflow ${workflowId}${link === null ? '' : `  ${link}`}`);
  return followAndReport(temporal, handle, { json, interrupted });
}

/** Checks all that a person typed, before anything is connected. */
function readRequest(options: Options): { input: GenerateMediaInput; workflowId: string } {
  try {
    const input = toInput(options);
    readInput(input);
    const workflowId = options.id ?? newWorkflowId(input);
    checkWorkflowId(workflowId);
    return { input, workflowId };
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw new UsageError(`${optionOf(error.field)}${error.message.slice(error.field.length)}`);
  }
}

function toInput(options: Options): GenerateMediaInput {
  const number = (text: string | undefined): string | number | undefined =>
    text !== undefined && /^\d+$/.test(text) ? Number(text) : text;
  const { model, prompt, clientRequestId, idempotencyKey, taskId, onActionNeeded } = options;
  const input = {
    model,
    prompt,
    params: readParams(options.param ?? [], options.paramsJson),
    references: readReferences(options.reference ?? []),
    clientRequestId,
    idempotencyKey,
    taskId,
    labels: readLabels(options.label ?? []),
    options: {
      maxAttempts: number(options.maxAttempts),
      maxCredits: number(options.maxCredits),
      deadline: number(options.deadline),
      submitDeadline: number(options.submitDeadline),
      idempotencyWindow: number(options.idempotencyWindow),
      onActionNeeded,
    },
  };
  // `readInput` judges every field, so what a person typed may have any type here. What is undefined is not sent.
  return input as unknown as GenerateMediaInput;
}

/** The option that fills a field of the input. */
function optionOf(field: string): string {
  if (field === 'workflowId') return '--id';
  if (field.startsWith('params')) return field;
  if (field.startsWith('references')) return field.replace('references', '--reference');
  if (field.startsWith('labels')) return field.replace('labels', '--label');
  return `--${field.replace('options.', '').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
