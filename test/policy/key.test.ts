import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { idempotencyKey, readInput, slug, type KeyParts } from '../../src/policy/index.js';

const golden = <Vector>(name: string): Vector[] =>
  JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8')) as Vector[];
const keys = golden<{ readonly parts: KeyParts; readonly key: string }>('keys');
const bodies = golden<{ readonly input: unknown; readonly body: string }>('bodies');

const parts: fc.Arbitrary<KeyParts> = fc.record({
  use: fc.constantFrom('generation' as const, 'chat' as const),
  namespace: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  workflowId: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }),
  number: fc.integer({ min: 1, max: 1_000 }),
});

describe('the same input gives the same key and the same bytes in every release', () => {
  test.each(keys)('key $key', ({ parts: given, key }) => expect(idempotencyKey(given)).toBe(key));
  test.each(bodies)('body $body', ({ input, body }) => expect(readInput(input).body).toBe(body));
});

describe('no two generations share a key', () => {
  test('other parts give another key, the same parts the same', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const same = JSON.stringify(a) === JSON.stringify(b);
        expect(idempotencyKey(a) === idempotencyKey(b)).toBe(same);
      }),
    );
  });

  test('one part changed is enough, also where text moves from one field to the next', () => {
    fc.assert(
      fc.property(parts, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 5 }), (a, text) => {
        const key = idempotencyKey(a);
        for (const b of [
          { ...a, number: a.number + 1 },
          { ...a, namespace: a.namespace + text },
          { ...a, workflowId: a.workflowId + text },
          { ...a, use: a.use === 'chat' ? ('generation' as const) : ('chat' as const) },
        ]) {
          expect(idempotencyKey(b)).not.toBe(key);
        }
        const left = idempotencyKey({ ...a, namespace: a.namespace + text });
        const right = idempotencyKey({ ...a, workflowId: text + a.workflowId });
        expect(left).not.toBe(right);
      }),
    );
  });

  test('a key is at most 64 characters that every header carries', () => {
    fc.assert(
      fc.property(parts, (a) => {
        expect(idempotencyKey(a)).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
      }),
    );
  });
});

test('a slug is never empty and starts and ends with a letter or digit', () => {
  expect(slug('---', 10)).toBe('rivya');
  expect(slug('夕焼け', 10)).toBe('rivya');
  expect(slug('A red fox, at dawn', 12)).toBe('A-red-fox-at');
});
