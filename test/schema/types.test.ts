/**
 * What `readInput` refuses by its form does not compile: `npm run typecheck` fails where one of the errors that are expected
 * here is none. The same values are refused at run time, where no compiler has looked.
 */
import { describe, expect, expectTypeOf, test } from 'vitest';
import type { ChatRequest, Duration, GenerateMediaInput, GenerationRequest, ReferenceInput } from '../../src/index.js';
import type { GenerationStep } from '../../workflows/index.js';
import { parseDuration, readChat, readInput } from '../../src/policy/index.js';

const fox = { model: 'z-image', prompt: 'a fox' } as const;
const from = { taskId: 'task_1', urls: ['https://rivya.ai/1.png'] };
const generations: unknown[] = [];
const chats: unknown[] = [];
const [generation, chat] = [
  (input: GenerateMediaInput): unknown => generations.push(input),
  (input: ChatRequest): unknown => chats.push(input),
];
const reference = (input: ReferenceInput): unknown => generations.push({ ...fox, references: [input] });

// @ts-expect-error Nothing to make it from.
generation({ model: 'z-image' });
// @ts-expect-error The same, with a field that goes into no body.
generation({ model: 'z-image', labels: { team: 'web' } });
// @ts-expect-error No model.
generation({ prompt: 'a fox' });
// @ts-expect-error No length of time.
generation({ ...fox, options: { deadline: 'a while' } });
// @ts-expect-error No unit.
generation({ ...fox, options: { submitDeadline: '90' } });
// @ts-expect-error Another unit.
generation({ ...fox, options: { idempotencyWindow: '2 weeks' } });
// @ts-expect-error Two places.
reference({ kind: 'image', path: '/in/a.png', url: 'https://rivya.ai/a.png' });
// @ts-expect-error Two places.
reference({ kind: 'image', uri: 'file:/out/a.png', from });
// @ts-expect-error No place.
reference({ kind: 'image' });
// @ts-expect-error Which file of what?
reference({ kind: 'image', path: '/in/a.png', file: 1 });
// @ts-expect-error A token of an upload that is made here.
reference({ kind: 'video', path: '/in/a.mp4', durationToken: 'dur_1' });
// @ts-expect-error No kind.
reference({ path: '/in/a.png' });
// @ts-expect-error Two sessions.
chat({ model: 'gpt-5-2-chat', message: 'hello', sessionId: 's', session: { sessionId: 's' } });

test('what does not compile is refused at run time too', () => {
  expect([generations.length, chats.length]).toEqual([12, 1]);
  for (const input of generations) expect(() => readInput(input)).toThrow(/nothing was paid/);
  for (const input of chats) expect(() => readChat(input)).toThrow(/session/);
});

describe('what is accepted compiles', () => {
  test('each content alone, and a task without any', () => {
    const accepted: GenerateMediaInput[] = [
      fox,
      { model: 'z-image', params: { seed: 1 } },
      { model: 'sora-2', references: [{ kind: 'image', from, file: 0 }] },
      { model: 'z-image', taskId: 'task_1' },
      { ...fox, taskId: 'task_1', options: { maxCredits: 5 } },
    ];
    for (const input of accepted) expect(readInput(input).model).toBe(input.model);
    expectTypeOf<GenerationRequest>().toExtend<GenerateMediaInput>();
    expectTypeOf<GenerationStep>().toExtend<GenerateMediaInput>();
  });

  test('lengths of time, as they are written or as they come from elsewhere', () => {
    const accepted: Duration[] = ['90s', '1.5h', '2 d', '500ms', '10m', 1_000, `${1 + 1}h`];
    for (const duration of accepted) expect(parseDuration(duration)).toBeGreaterThan(0);
    const setting: string = '6h';
    expect(readInput({ ...fox, options: { deadline: setting as Duration } }).deadlineMs).toBe(6 * 3_600_000);
  });

  test('a reference whose place is chosen while the program runs, and one with fields that are undefined', () => {
    const place = (local: boolean) => (local ? { path: '/in/a.png' } : { url: 'https://rivya.ai/a.png' });
    const references: ReferenceInput[] = [
      { kind: 'image', ...place(true) },
      { kind: 'image', ...place(false), name: 'The Fox' },
      { kind: 'image', path: '/in/a.png', url: undefined },
    ];
    expect(readInput({ ...fox, references }).references).toHaveLength(3);
  });
});
