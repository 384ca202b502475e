/** The JSON Schemas of the package: they are those of the code, and say of an input what `readInput` says. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { format, resolveConfig } from 'prettier';
import { describe, expect, expectTypeOf, test } from 'vitest';
import type { z } from 'zod';
import type { GenerationResult } from '../../src/contract/index.js';
import { InvalidInput, readInput } from '../../src/policy/index.js';
import { inputSchema, jsonSchemas, resultSchema } from '../../scripts/schemas.js';

test.each(Object.entries(jsonSchemas()))('%s is that of the code (npm run schema writes it)', async (name, schema) => {
  const file = fileURLToPath(new URL(`../../schema/${name}`, import.meta.url));
  const style = { ...(await resolveConfig(file)), filepath: file };
  await expect(await format(JSON.stringify(schema), style)).toMatchFileSnapshot(file);
});

/** What `readInput` has against an input, or null. */
function problemOf(input: unknown): string | null {
  try {
    readInput(input);
    return null;
  } catch (error) {
    if (error instanceof InvalidInput) return error.message;
    throw error;
  }
}

// Rules that no JSON Schema can say, or not in a way that people could read: between fields, of lengths of time in words,
// of addresses, and of what Temporal carries.
const MORE_THAN_A_SCHEMA =
  /^(prompt: is missing|idempotencyKey: cannot go with|options\.maxAttempts: must be 1 with|options\.\w+: must be from 1 s|taskId: is no task ID|references\[\d\](: needs|\.file: names|\.durationToken: belongs|\.(path|uri|url|from)\b))/;

const some = (...values: unknown[]): fc.Arbitrary<unknown> => fc.constantFrom(...values);
const texts = fc.oneof(
  fc.string({ maxLength: 140 }),
  some('z-image', ' ', '', 'a\nb', 'a\u0085b', '\u2028', 'x'.repeat(129), 'x'.repeat(257)),
);
const durations = some('90s', '1.5h', ' 2 d ', '31d', 'soon', '5', 1_000, 999, 2_592_000_000, 2_592_000_001, -1, 0.5);
const numbers = some(0, 1, 2, 10, 11, 1.5, 1_000_000, 1_000_001, '1', true);
const anything = fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.jsonValue() });
const field = (values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 6, arbitrary: values }, { weight: 1, arbitrary: some(null, {}, [], 7) });

const result = { taskId: 'task_1', urls: ['https://rivya.ai/1.png'], files: [] };
const reference = fc.record(
  {
    path: field(some('/in/a.png', 'a.png', '')),
    uri: field(some('file:/out/a.png', 'https://rivya.ai/a', 'a')),
    url: field(some('https://rivya.ai/a.png', 'http://rivya.ai/a.png', 'https://me@rivya.ai')),
    from: field(some(result, { ...result, files: [{ uri: 'file:/a' }] }, { ...result, urls: 'x' })),
    file: field(numbers),
    kind: fc.oneof({ weight: 4, arbitrary: some('image') }, { weight: 1, arbitrary: field(texts) }),
    name: field(texts),
    mimeType: field(some('image/png', 'png', '')),
    durationSeconds: field(numbers),
    durationToken: field(texts),
    size: anything,
  },
  { requiredKeys: ['kind'] },
);

const inputs = fc.record(
  {
    model: fc.oneof({ weight: 4, arbitrary: some('z-image') }, { weight: 1, arbitrary: field(texts) }),
    prompt: field(texts),
    references: field(fc.array(fc.oneof(reference, some(null, 'x')), { maxLength: 3 })),
    params: field(some({}, { a: null }, { a: [1, { b: 'x' }] }, 'x', [])),
    clientRequestId: field(texts),
    idempotencyKey: field(some('k', 'with space', 'é', '', 'k'.repeat(255), 'k'.repeat(256))),
    taskId: field(fc.oneof(texts, some('task_1', '..'))),
    labels: field(
      some({}, { team: 'web' }, { team: null }, { team: '' }, { team: 'x'.repeat(257) }, { ['n'.repeat(65)]: 'x' }),
    ),
    options: field(
      fc.record(
        {
          maxAttempts: field(numbers),
          deadline: field(durations),
          submitDeadline: field(durations),
          idempotencyWindow: field(durations),
          onActionNeeded: field(some('hold', 'fail', 'panic')),
          maxCredits: field(some(0.5, 1, 0, -1, '1')),
          taskQueue: field(texts),
          speed: anything,
        },
        { requiredKeys: [] },
      ),
    ),
    size: anything,
  },
  { requiredKeys: [] },
);

// What is left out and what is undefined are one in JSON.
const asJson = (input: unknown): unknown => JSON.parse(JSON.stringify(input));

describe('the schema of the input', () => {
  test('takes what readInput takes, and refuses what it refuses', () => {
    fc.assert(
      fc.property(inputs.map(asJson), (input) => {
        const problem = problemOf(input);
        const { success, error } = inputSchema.safeParse(input);
        // A field that nobody knows and that says nothing is let through by readInput alone.
        const unknownNull = error?.issues.every(({ code }) => code === 'unrecognized_keys') ?? false;
        const agrees = problem === null ? success || unknownNull : !success || MORE_THAN_A_SCHEMA.test(problem);
        expect(agrees, problem ?? error?.message).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('knows the same fields', () => {
    const fox = { model: 'z-image', prompt: 'a fox' };
    const known = (input: object): string[] => /known are (.*)\. Nothing/.exec(problemOf(input)!)![1]!.split(', ');
    expect(Object.keys(inputSchema.shape).toSorted()).toEqual(known({ ...fox, no: 1 }).toSorted());
    const options = inputSchema.shape.options.unwrap().unwrap();
    expect(Object.keys(options.shape).toSorted()).toEqual(known({ ...fox, options: { no: 1 } }).toSorted());
  });

  test('counts labels', () => {
    const labels = Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`label ${index}`, 'x']));
    expect(problemOf({ model: 'z-image', prompt: 'x', labels })).toMatch(/^labels: has more than 20/);
    expect(jsonSchemas()['generate-media-input.json']).toMatchObject({ properties: { labels: { maxProperties: 20 } } });
  });
});

test('the schema of the result takes what a released version has returned, and has the fields of the type', async () => {
  const history = JSON.parse(await readFile(new URL('../histories/plain-image.json', import.meta.url), 'utf8')) as {
    events: { workflowExecutionCompletedEventAttributes?: { result: { payloads: { data: string }[] } } }[];
  };
  const { data } = history.events.at(-1)!.workflowExecutionCompletedEventAttributes!.result.payloads[0]!;
  const returned: unknown = JSON.parse(Buffer.from(data, 'base64').toString());
  expect(resultSchema.safeParse(returned).error).toBeUndefined();
  type Output = z.output<typeof resultSchema>;
  type Named = { [K in keyof Output as string extends K ? never : K]: Output[K] };
  expectTypeOf<GenerationResult>().toExtend<Named>();
  expectTypeOf<keyof Named>().toEqualTypeOf<keyof GenerationResult>();
});
