/**
 * The words about a paid call: for failures, for the current details in the Temporal UI, and for its handlers. It
 * guarantees that words about money come from the API's own numbers. Workflows, Activities and the command call it.
 */
import { FAILURE, failureEnd, STOPPED } from '../contract/index.js';
import type { ExpectedEnd, GenerationState, Hold, Phase } from '../contract/index.js';
import { formatDuration } from './duration.js';
import type { Generation } from './input.js';
import { isSettled } from './state.js';

/** The credits of a task, from the API's own numbers. Until the task has ended its final credits may say 0. */
export function money(task: Pick<GenerationState, 'status' | 'reservedCredits' | 'finalCredits'>): string {
  const say = (n: number | null): string => (n === null ? 'not reported' : String(n));
  const final = isSettled(task) ? say(task.finalCredits) : 'not settled yet';
  return `credits reserved: ${say(task.reservedCredits)}, final: ${final}`;
}

/** What a person does about an unanswered submit after the Workflow has ended. */
export const UNRESOLVED_ENDED =
  'A task may exist and may have been paid for. Look for it in the Rivya Studio. If it is there, start again with its taskId; if not, start again under the same Workflow ID (with onActionNeeded: "hold"), which asks under the same key or holds.';

/** The thing that a call pays for: the task of a generation, or the answer to a chat. */
export type Paid = 'task' | 'answer';

/** The sentence about an unanswered POST in the message of a later failure. */
export function unansweredText(paid: Paid): string {
  const doubt = paid === 'task' ? 'a task may exist' : 'it may have been answered and paid';
  return `An earlier submit is unanswered: ${doubt}.`;
}

/** What a person does about an unresolved submit, while the Workflow holds and after it has ended. */
export const UNRESOLVED: Readonly<Record<Paid, { readonly action: string; readonly ended: string }>> = {
  task: {
    action:
      'A task may exist and may have been paid for. Look for it in the Rivya Studio. If it is there, resume with {"taskId": "…"}; if not, resume with {"reason": "…"} to post again.',
    ended: UNRESOLVED_ENDED,
  },
  answer: {
    action:
      'The chat may have been answered and paid for. Look at the credits of the account and at GET /api/v1/chat/sessions. Resume with {"reason": "…"} to post it again and accept that it may be paid twice.',
    ended:
      'The chat may have been answered and paid for. Start again under the same Workflow ID (with onActionNeeded: "hold"), which asks under the same key or holds.',
  },
};

/** What a person does about a result that is no image, video or audio, while the Workflow holds and after it has ended. */
export const UNFIT = {
  action:
    'Open the link. If it gives what was ordered, resume with {"storeAsIs": true}; if not, resume later, and fresh links are asked for. Nothing is paid.',
  ended: 'Open the link. If it gives what was ordered, save it from there: links expire.',
} as const;

// The Service takes a summary of 400 bytes, and encryption adds about 150.
const TITLE_LENGTH = 80;
const SUMMARY_BYTES = 220;

/** Model and prompt in one line, or without the prompt: the static summary of the Workflow. */
export function titleOf(
  { model, prompt, taskId }: Pick<Generation, 'model' | 'prompt' | 'taskId'>,
  showsPrompt = true,
): string {
  if (taskId !== null) return summaryOf(`${model}: wait for ${taskId}`);
  if (!showsPrompt) return summaryOf(model);
  const line = [...(prompt ?? 'by params').replace(/\s+/g, ' ').trim()];
  return summaryOf(`${model}: ${line.slice(0, TITLE_LENGTH).join('')}${line.length > TITLE_LENGTH ? '…' : ''}`);
}

/** A text as a summary that the Service takes, shortened where it is too long. */
export function summaryOf(text: string): string {
  const bytes = (one: string): number => new TextEncoder().encode(JSON.stringify(one)).length;
  if (bytes(text) <= SUMMARY_BYTES) return text;
  const characters = [...text];
  while (bytes(`${characters.join('')}…`) > SUMMARY_BYTES) characters.pop();
  return `${characters.join('')}…`;
}

/**
 * The static details of a generation, as Markdown: what the buttons of the Temporal UI mean for the money. They stand
 * there with no Worker too.
 */
export const STATIC_DETAILS = [
  'One paid generation of the Rivya API: its Workflow ID is paid once.',
  '',
  '- *Request Cancellation* and *Terminate* end the wait alone: the task goes on at Rivya and is paid, because the API has no cancel.',
  '- *Reset* comes back to the same task. *Start Workflow Like This One* with another Workflow ID pays again.',
  '- `rivya-temporal status <workflow-id>` says where it stands and what to do; the Memo says it too.',
].join('\n');

/** What the Workflow knows beside the state, for its current details. */
export interface Described {
  readonly model: string;
  readonly workflowId: string;
  /** Since when its phase is what it is. ISO 8601; undefined where an older version began the run. */
  readonly since?: string | undefined;
  /** Addresses of the stored files. */
  readonly stored?: readonly string[];
  /** Message of the failure that ended it: what was paid, and how to go on. */
  readonly failure?: string;
}

/** The state of a generation as Markdown, for the current details in the Temporal UI. The prompt stands in the static summary. */
export function describeState(state: GenerationState, about: Described): string {
  const lines = [`**${headline(state)}**`, '', about.model, ''];
  if (state.simulated) lines.push('*Simulated: the emulator answers, nothing is paid.*', '');
  if (about.failure !== undefined) lines.push(about.failure, '');
  if (state.hold !== null) {
    const { code, message, action, since, link } = state.hold;
    lines.push(
      message,
      '',
      ...(link === undefined ? [] : [`Link of the result: <${link}>`, '']),
      `**What to do:** ${failureEnd(code, action)}`,
      '',
      ...resumeCommands(state.hold, about.workflowId).map((command) => `    ${command}`),
      '',
      `Held since ${since}.`,
      '',
    );
  }
  if (about.since !== undefined && state.phase !== 'held') lines.push(`- Since: ${about.since}`);
  lines.push(`- Attempt: ${state.attempt}`);
  if (state.phase === 'submitting' && state.submittingSince !== null) {
    lines.push(`- Submit under way since ${new Date(state.submittingSince).toISOString()}: a task may exist`);
  }
  if (state.unanswered !== null) {
    lines.push(`- Unanswered submit of ${new Date(state.unanswered.firstPostedAt).toISOString()}: a task may exist`);
  }
  if (state.taskId !== null) lines.push(`- Task: \`${state.taskId}\`, ${money(state)}`);
  if (state.idempotencyKey !== null) lines.push(`- Idempotency key: \`${state.idempotencyKey}\``);
  lines.push(`- Status checks: ${state.statusChecks}`);
  if (state.nextCheckAt !== null) lines.push(`- Next check: ${state.nextCheckAt}`);
  // A run that an older version began has no such field.
  if (state.expected) lines.push(`- Expected end: ${expectedText(state.expected)}`);
  for (const uri of about.stored ?? []) lines.push(`- Stored: \`${uri}\``);
  return lines.join('\n');
}

/** The commands that end a hold once its cause is gone. */
export function resumeCommands({ code, found }: Pick<Hold, 'code' | 'found'>, workflowId: string): string[] {
  const resume = `rivya-temporal resume ${shellWord(workflowId)}`;
  if (code === STOPPED) return ['rivya-temporal account allow'];
  if (code === FAILURE.SubmitUnresolved) return [`${resume} --task-id '…'`, `${resume} --reason '…'`];
  return found === undefined ? [resume] : [resume, `${resume} --store-as-is`];
}

/** A word for a shell; quotes only where needed. */
export function shellWord(word: string): string {
  return /^[\w./:@+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** The expected end in words, with times as `say` writes them. */
export function expectedText(
  { from, to, runs, late }: ExpectedEnd,
  say: (time: string) => string = (time) => time,
): string {
  if (late) return `later than 9 of 10 of the last ${runs} tasks like it`;
  return `${say(from)} (half of the last ${runs} tasks like it) to ${say(to)} (9 of 10)`;
}

function headline({ phase, status, hold }: GenerationState): string {
  const headlines: Readonly<Record<Phase, string>> = {
    starting: 'The generation is being submitted.',
    uploading: 'Its references are being uploaded.',
    submitting: 'The generation is being submitted. A reason to repeat it stands under Pending Activities.',
    waiting: `Rivya says ${status ?? 'nothing yet'}; waiting for the next check.`,
    storing: 'The task has succeeded; its files are being stored.',
    held: `Held: a person must act (${hold?.code ?? 'unknown'}).`,
    succeeded: 'Done.',
    failed: 'Failed.',
    cancelled: 'Cancelled here. A task that exists goes on at Rivya, which has no cancel.',
  };
  return headlines[phase];
}

/** Summary of a timer, as the Timeline shows it. */
export function waitSummary(waitMs: number, check: number): string {
  return `wait ${formatDuration(waitMs)} before check ${check}`;
}

/** The descriptions of the handlers in the Temporal UI. */
export const HANDLERS = {
  query: 'State: phase, task ID, hold, next check.',
  checkNow: 'Check the status now (never within 5 s of the last check). No argument.',
  woken: 'The status is checked as soon as the last check is 5 s old.',
  changeDeadline:
    'Wait longer or less: {"deadline": "12h"}, counted from the first submit, holds left out. The task goes on at Rivya in any case.',
  resume:
    'Go on after a hold, once its cause is gone. After SubmitUnresolved: {"taskId": "…"} or {"reason": "…"}. For a result of another type that is what was ordered: {"storeAsIs": true}. Only where one cause holds: {"code": "insufficient_credits"}. Otherwise no argument.',
} as const;
