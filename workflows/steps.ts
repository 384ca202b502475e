// Module state is separate for each Workflow execution in the sandbox.
const taken = new Set<string>();

/** Takes a name for as long as its generation runs or has succeeded. Ask `stepProblem` first. */
export function takeStep(step: string): void {
  taken.add(step);
}

/** What has failed may be run again under its name: another name would be another key, and paid again. */
export function freeStep(step: string): void {
  taken.delete(step);
}

/** Why a generation of this Workflow cannot have this name, or null. */
export function stepProblem(step: unknown): string | null {
  if (typeof step !== 'string' || step.trim() === '') return 'is missing; name each generation of a Workflow';
  if (step.length > 200 || !step.isWellFormed() || /\p{Cc}/u.test(step)) {
    return 'must be at most 200 characters of text without control characters';
  }
  if (taken.has(step))
    return `"${step}" is used twice in this Workflow, so both would get one paid task; give each its own name`;
  return null;
}
