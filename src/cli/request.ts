/** The request of a `generate` command line: read, judged and named before anything is connected. */
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { checkWorkflowId, newWorkflowId, workflowIdOfInput } from '../client.js';
import type { GenerateMediaInput, GenerationOptions } from '../contract/index.js';
import { InvalidInput, readAll, readInput } from '../policy/index.js';
import { inOptions, optionOf } from './advice.js';
import { UsageError } from './errors.js';
import type { Flags, Lists, Texts } from './options.js';
import { readLabels, readParams, readReferences } from './params.js';

const TEXTS = ['model', 'prompt', 'clientRequestId', 'idempotencyKey', 'taskId'] as const;
const LIMITS = ['maxAttempts', 'maxCredits', 'deadline', 'submitDeadline', 'idempotencyWindow'] as const;

type Text = (typeof TEXTS)[number] | (typeof LIMITS)[number] | 'onActionNeeded' | 'id' | 'promptFile';
export type RequestOptions = Texts<Text> & Lists<'param' | 'reference' | 'label'> & Flags<'idFromInput'>;
export type Request = Awaited<ReturnType<typeof readRequest>>;

/** @throws UsageError that names the option. */
export async function readRequest(given: RequestOptions) {
  const { id, idFromInput = false, promptFile, param, reference, label, onActionNeeded } = given;
  const prompt = promptFile === undefined ? given.prompt : await readPrompt(promptFile);
  const texts = TEXTS.map((name) => [name, { ...given, prompt }[name]]);
  const parsed = (text?: string): unknown => (/^\d+$/.test(text ?? '') ? Number(text) : text);
  const limits = LIMITS.map((name) => [name, parsed(given[name])]);
  try {
    // `readInput` judges every field, so what a person typed may have any type here. What is undefined is not sent.
    const options = { ...Object.fromEntries(limits), onActionNeeded } as GenerationOptions;
    const input = { ...Object.fromEntries(texts), options } as GenerateMediaInput;
    const [, , , generation] = readAll(
      () => Object.assign(input, { params: readParams(param) }),
      () => Object.assign(input, { references: readReferences(reference) }),
      () => Object.assign(input, { labels: readLabels(label) }),
      () => readInput(input),
      () => id !== undefined && checkWorkflowId(id),
    );
    const workflowId = id ?? (idFromInput ? workflowIdOfInput(generation) : newWorkflowId(generation));
    return { input, generation, workflowId, isRandom: id === undefined && !idFromInput };
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    const ofFile = (field: string): string =>
      field === 'prompt' && promptFile !== undefined ? '--prompt-file' : optionOf(field);
    throw new UsageError(inOptions(error, ofFile));
  }
}

/** The text of a file, or of stdin for `-`. Its last line ends do not count, as in a shell's `$(cat file)`. */
async function readPrompt(file: string): Promise<string> {
  const refused = (why: string) => new UsageError(`--prompt-file: ${why}. Nothing was sent and nothing was paid.`);
  const bytes = await (file === '-' ? buffer(process.stdin) : readFile(file)).catch((error: NodeJS.ErrnoException) => {
    throw refused(`${file} cannot be read (${error.code ?? error.message})`);
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/[\r\n]+$/, '');
  } catch {
    throw refused(`${file} is no text in UTF-8`);
  }
}
