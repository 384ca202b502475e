import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

/** A change: this key of this table has this value from now on. */
type Put = readonly [table: string, key: string, value: unknown];

const HEADER = '{"version":2}';

/**
 * Tables in memory and, where there is a file, in a file that grows by one line with each `save()`, however large it is: a
 * line is a JSON array of puts, the last put of a key counts. A step is in the file whole or not at all, because a start
 * drops a last line that a kill has cut off.
 */
export function openJournal(file: string | undefined) {
  const tables = new Map<string, Map<string, unknown>>();
  let descriptor: number | null = null;
  let pending: Put[] = [];

  /** A map whose changes go to the file. All tables are made before `open()`. */
  function table<Value>(name: string): Map<string, Value> {
    const rows = new Map<string, Value>();
    tables.set(name, rows);
    const set = (key: string, value: Value): Map<string, Value> => {
      if (descriptor !== null) pending.push([name, key, value]);
      return Map.prototype.set.call(rows, key, value) as Map<string, Value>;
    };
    return Object.assign(rows, { set });
  }

  /** Fills the tables from the file, if there is one, and begins to write. @throws Error for any other file. */
  function open(): void {
    if (file !== undefined && existsSync(file)) {
      try {
        const [header, ...lines] = readFileSync(file, 'utf8').split('\n');
        if (header !== HEADER) throw new Error(`its first line is not ${HEADER}`);
        // Behind the last line break stands nothing, or the line that was being written.
        const puts = lines.slice(0, -1).flatMap((line) => JSON.parse(line) as Put[]);
        for (const [name, key, value] of puts) tables.get(name)?.set(key, value);
      } catch (cause) {
        // An empty start would forget idempotency keys and make tasks twice.
        throw new Error(`The emulator's state file ${file} cannot be read; delete it to start anew.`, { cause });
      }
    }
    rewrite();
  }

  function clear(): void {
    for (const rows of tables.values()) rows.clear();
    rewrite();
  }

  /** Starts the file anew with one line for each entry. A reader, or a start after a kill, meets the old file or the new one. */
  function rewrite(): void {
    if (file === undefined) return;
    const lines = [...tables].flatMap(([name, rows]) => [...rows].map((row) => JSON.stringify([[name, ...row]])));
    const temporary = `${file}.tmp`;
    writeFileSync(temporary, [HEADER, ...lines, ''].join('\n'));
    renameSync(temporary, file);
    close();
    descriptor = openSync(file, 'a');
    pending = [];
  }

  /** Writes what changed since the last time: one step, one line. To be called before the reply that tells of it leaves. */
  function save(): void {
    if (pending.length === 0 || descriptor === null) return;
    writeFileSync(descriptor, `${JSON.stringify(pending)}\n`);
    pending = [];
  }

  function close(): void {
    if (descriptor !== null) closeSync(descriptor);
    descriptor = null;
  }

  return { table, open, clear, rewrite, save, close };
}
