import { execFileSync } from 'node:child_process';

/** A process and all below it, in whatever group they are. */
export function treeOf(pid: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=']).toString().trim().split('\n');
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number));
  const below = (parent: number): number[] =>
    pairs.flatMap(([one, of]) => (of === parent && one !== undefined ? [one, ...below(one)] : []));
  return [pid, ...below(pid)];
}
