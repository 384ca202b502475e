import { findModel } from './catalogue.js';
import type { EmulatorSwitches } from './switches.js';
import type { LedgerTask } from './types.js';

/** A task as it is kept. Its status at a time follows from its times alone, in milliseconds since the epoch. */
export interface Task extends Pick<LedgerTask, 'account' | 'model' | 'prompt' | 'key' | 'reserved'> {
  readonly id: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly createdAt: number;
  /** When `queued` becomes `processing`. */
  readonly startsAt: number;
  /** When it ends; null: never. */
  readonly endsAt: number | null;
  readonly outcome: 'succeeded' | 'failed';
  /** Fixed links of a seeded task. */
  readonly urls: readonly string[] | null;
  /** False for seeded tasks. */
  readonly charged: boolean;
  /** Arrival of each GET. */
  readonly checks: number[];
  refunded: boolean;
}

/** A task that was seeded, unless `fields` say otherwise. */
export function newTask(
  fields: Pick<Task, 'id' | 'account' | 'model' | 'createdAt' | 'startsAt' | 'endsAt' | 'outcome'> & Partial<Task>,
): Task {
  const reserved = findModel(fields.model)?.credits ?? 0;
  const seeded = { prompt: null, params: {}, key: null, urls: null, charged: false };
  return { ...seeded, reserved, checks: [], refunded: false, ...fields };
}

type Status = 'queued' | 'processing' | 'succeeded' | 'failed';

/** The status of a task at a time, and since when it has it. */
function statusSince({ createdAt, startsAt, endsAt, outcome }: Task, now: number): readonly [Status, number] {
  if (endsAt !== null && now >= endsAt) return [outcome, endsAt];
  return now >= startsAt ? ['processing', startsAt] : ['queued', createdAt];
}

export function statusAt(task: Task, now: number): Status {
  return statusSince(task, now)[0];
}

export function finalCredits(task: Task, now: number): number {
  return statusAt(task, now) === 'succeeded' ? task.reserved : 0;
}

const EXTENSION = { image: 'png', video: 'mp4', audio: 'mp3', chat: 'txt' } as const;

function result(task: Task, switches: EmulatorSwitches, baseUrl: string): object {
  if (switches.urls === 'none') return { primary_url: null, urls: [] };
  const urls = task.urls ?? [
    `${baseUrl}/media/${encodeURIComponent(task.id)}/1.${EXTENSION[findModel(task.model)?.category ?? 'image']}`,
  ];
  return switches.urls === 'missing' ? { primary_url: urls[0] } : { primary_url: urls[0], urls };
}

/** The task as the status endpoint shows it; fields and their order are those of the page "Generation Status". */
export function taskBody(task: Task, now: number, switches: EmulatorSwitches, baseUrl: string): object {
  const [status, since] = statusSince(task, now);
  const shown = status === 'succeeded' && now >= (task.endsAt ?? Infinity) + switches.resultLagMs;
  const failed = status === 'failed' && switches.errorOnFailed === 'present';
  const iso = (time: number): string => new Date(time + switches.clockOffsetMs).toISOString();
  return {
    id: task.id,
    status,
    model: task.model,
    reserved_credits: task.reserved,
    final_credits: finalCredits(task, now),
    created_at: iso(task.createdAt),
    updated_at: iso(since),
    result: shown ? result(task, switches, baseUrl) : null,
    error: failed ? { code: 'generation_failed', message: 'The generation failed.' } : null,
  };
}

/** The shorter answer to a create that the developers' page shows. */
export function shortBody(body: object): object {
  const hidden = new Set(['final_credits', 'created_at', 'updated_at']);
  return Object.fromEntries(Object.entries(body).filter(([name]) => !hidden.has(name)));
}
