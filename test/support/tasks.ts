/** Faults of an emulator that tests share which run at the same time, and tasks that end when a test lets them. */
import type { Emulator, Fault } from '../../src/emulator/index.js';

/** Takes back what a test has set. */
export type Release = () => void;
export type SharedFaults = ReturnType<typeof shareFaults>;

/** @param always - A change starts their counts anew, so none of them may be counted (`times`, `skip`). */
export function shareFaults(emulator: Pick<Emulator, 'setFaults'>, always: readonly Fault[] = []) {
  const added = new Set<Fault>();
  const set = (): void => emulator.setFaults([...added, ...always]);
  set();
  const add = (fault: Fault): Release => {
    added.add(fault);
    set();
    return () => {
      added.delete(fault);
      set();
    };
  };
  /** Tasks of these prompts are still processing, until the test releases them. */
  const keep = (prompt: string): Release => add(unfinished(prompt));
  return { add, keep };
}

/** Tasks of these prompts, or all, are still processing as long as this fault is set. */
export function unfinished(prompt?: string): Fault {
  return { on: 'status', ...(prompt !== undefined && { prompt }), do: { kind: 'status', status: 'processing' } };
}
