import { onTestFinished } from 'vitest';
import { startEmulator, type Emulator, type EmulatorOptions } from '../../src/emulator/index.js';

/** A clock that stands still until a test moves it; starts on a full minute. */
export class TestClock {
  now = Date.parse('2026-05-10T00:00:00.000Z');
  readonly read = (): number => this.now;
  pass(ms: number): void {
    this.now += ms;
  }
}

export async function emulatorFor(options: EmulatorOptions = {}): Promise<Emulator> {
  const emulator = await startEmulator(options);
  onTestFinished(() => emulator.close());
  return emulator;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body; tests look at fields of their own choice. */
  readonly body: ReturnType<typeof JSON.parse>;
}

export interface Ask {
  readonly method?: string;
  readonly body?: unknown;
  readonly raw?: string;
  readonly apiKey?: string | null;
  readonly idempotencyKey?: string;
}

export async function ask(emulator: Emulator, path: string, options: Ask = {}): Promise<Answer> {
  const { apiKey = emulator.apiKey, idempotencyKey } = options;
  const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const response = await fetch(emulator.url + path, {
    method: options.method ?? (body === undefined ? 'GET' : 'POST'),
    redirect: 'manual',
    headers: {
      ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  let parsed: Answer['body'] = null;
  try {
    parsed = JSON.parse(text);
  } catch {
    // Not every body is JSON.
  }
  return { status: response.status, headers: response.headers, text, body: parsed };
}

export const GENERATIONS = '/api/v1/generations';
export const CAT = { model: 'z-image', prompt: 'a cat' };

export function create(emulator: Emulator, idempotencyKey?: string, body: unknown = CAT): Promise<Answer> {
  return ask(emulator, GENERATIONS, { body, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) });
}

export function check(emulator: Emulator, taskId: string): Promise<Answer> {
  return ask(emulator, `${GENERATIONS}/${taskId}`);
}

export function credits(emulator: Emulator): Promise<number> {
  return ask(emulator, '/api/v1/credits').then((answer) => answer.body.current_credits as number);
}

/** Waits for a condition, never for a time. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
