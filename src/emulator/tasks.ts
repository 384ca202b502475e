import { findModel } from './catalogue.js';
import type { EmulatorSwitches, LedgerTask } from './types.js';

/** A task as it is kept. What it looks like at a time follows from its times alone. All times in milliseconds since the epoch. */
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

export function statusAt(task: Task, now: number): 'queued' | 'processing' | 'succeeded' | 'failed' {
  if (task.endsAt !== null && now >= task.endsAt) return task.outcome;
  return now >= task.startsAt ? 'processing' : 'queued';
}

export function finalCredits(task: Task, now: number): number {
  return statusAt(task, now) === 'succeeded' ? task.reserved : 0;
}

function updatedAt(task: Task, now: number): number {
  if (task.endsAt !== null && now >= task.endsAt) return task.endsAt;
  return now >= task.startsAt ? task.startsAt : task.createdAt;
}

const EXTENSION = { image: 'png', video: 'mp4', audio: 'mp3', chat: 'txt' } as const;

export function mediaExtension(model: string): string {
  return EXTENSION[findModel(model)?.category ?? 'image'];
}

function result(task: Task, switches: EmulatorSwitches, baseUrl: string): object {
  if (switches.urls === 'none') return { primary_url: null, urls: [] };
  const urls = task.urls ?? [`${baseUrl}/media/${encodeURIComponent(task.id)}/1.${mediaExtension(task.model)}`];
  return switches.urls === 'missing' ? { primary_url: urls[0] } : { primary_url: urls[0], urls };
}

/** The task as the status endpoint shows it; fields and their order are those of the page "Generation Status". */
export function taskBody(task: Task, now: number, switches: EmulatorSwitches, baseUrl: string): object {
  const status = statusAt(task, now);
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
    updated_at: iso(updatedAt(task, now)),
    result: shown ? result(task, switches, baseUrl) : null,
    error: failed ? { code: 'generation_failed', message: 'The generation failed.' } : null,
  };
}

/** The shorter answer to a create that the developers' page shows. */
export function shortBody(body: object): object {
  const hidden = new Set(['final_credits', 'created_at', 'updated_at']);
  return Object.fromEntries(Object.entries(body).filter(([name]) => !hidden.has(name)));
}
