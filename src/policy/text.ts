import type { GenerationState } from '../contract/index.js';
import { formatDuration } from './duration.js';
import type { Generation } from './input.js';

/** What is known about the money, from the API's own numbers. Final credits are 0 until the task has ended. */
export function money({
  status,
  reservedCredits,
  finalCredits,
}: Pick<GenerationState, 'status' | 'reservedCredits' | 'finalCredits'>): string {
  const say = (n: number | null): string => (n === null ? 'not reported' : String(n));
  const ended = status === 'succeeded' || status === 'failed';
  return `credits reserved: ${say(reservedCredits)}, final: ${ended ? say(finalCredits) : 'not settled yet'}`;
}

/** What a person does about a submit whose outcome nobody knows, where the Workflow has ended. */
export const UNRESOLVED_ENDED =
  'A task may exist and may have been paid for. Look for it in the Rivya Studio. If it is there, start again with its taskId; if not, start again under the same Workflow ID (with onActionNeeded: "hold"), which asks under the same key or holds.';

/** What a paid call makes: the task of a generation, or the answer to a chat. */
export type Paid = 'task' | 'answer';

/** That an unanswered POST may have been paid, as the start of a sentence. */
export function mayExist(paid: Paid): string {
  return paid === 'task' ? 'A task may exist' : 'It may have been answered and paid';
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

// The Service takes a summary of 400 bytes; 80 characters of a prompt are below that in any script.
const TITLE_LENGTH = 80;

/** What is generated, in one line: the static summary of the Workflow. */
export function titleOf({ model, prompt, taskId }: Pick<Generation, 'model' | 'prompt' | 'taskId'>): string {
  if (taskId !== null) return `${model}: wait for ${taskId}`;
  const line = [...(prompt ?? 'by params').replace(/\s+/g, ' ').trim()];
  return `${model}: ${line.slice(0, TITLE_LENGTH).join('')}${line.length > TITLE_LENGTH ? '…' : ''}`;
}

/**
 * The state of a generation as Markdown, for the current details in the Temporal UI. The title stands there too, because
 * a run that continued as new has no static summary.
 */
export function describeState(state: GenerationState, title: string): string {
  const lines = [`**${headline(state)}**`, '', title, ''];
  if (state.simulated) lines.push('*Simulated: the emulator answers, nothing is paid.*', '');
  if (state.hold !== null) {
    const { message, action, since } = state.hold;
    lines.push(message, '', `**What to do:** ${action}`, '', `Held since ${since}.`, '');
  }
  lines.push(`- Attempt: ${state.attempt}`);
  if (state.unanswered !== null) {
    lines.push(`- Unanswered submit of ${new Date(state.unanswered.firstPostedAt).toISOString()}: a task may exist`);
  }
  if (state.taskId !== null) lines.push(`- Task: \`${state.taskId}\`, ${money(state)}`);
  if (state.idempotencyKey !== null) lines.push(`- Idempotency key: \`${state.idempotencyKey}\``);
  lines.push(`- Status checks: ${state.statusChecks}`);
  if (state.nextCheckAt !== null) lines.push(`- Next check: ${state.nextCheckAt}`);
  return lines.join('\n');
}

function headline(state: GenerationState): string {
  switch (state.phase) {
    case 'uploading':
      return 'Its references are being uploaded.';
    case 'starting':
    case 'submitting':
      return 'The generation is being submitted.';
    case 'waiting':
      return `Rivya says ${state.status ?? 'nothing yet'}; waiting for the next check.`;
    case 'storing':
      return 'The task has succeeded; its files are being stored.';
    case 'held':
      return `Held: a person must act (${state.hold?.code ?? 'unknown'}).`;
    case 'succeeded':
      return 'Done.';
    case 'failed':
      return 'Failed.';
    case 'cancelled':
      return 'Cancelled here. A task that exists goes on at Rivya, which has no cancel.';
  }
}

/** Summary of a timer, as the Timeline shows it. */
export function waitSummary(waitMs: number, check: number): string {
  return `wait ${formatDuration(waitMs)} before check ${check}`;
}

/** What the UI and the command line say of the handlers of a Workflow. */
export const HANDLERS = {
  query: 'State: phase, task ID, hold, next check.',
  checkNow: 'Check the status now (never within 5 s of the last check). No argument.',
  woken: 'The status is checked as soon as the last check is 5 s old.',
  resume:
    'Go on after a hold, once its cause is mended. After SubmitUnresolved: {"taskId": "…"} or {"reason": "…"}; otherwise no argument.',
} as const;
