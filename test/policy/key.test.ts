import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { idempotencyKey, readInput, slug, type KeyParts } from '../../src/policy/index.js';

interface Golden {
  readonly keys: readonly { readonly parts: KeyParts; readonly key: string }[];
  readonly bodies: readonly { readonly input: unknown; readonly body: string }[];
}
const golden = JSON.parse(readFileSync(new URL('../golden/key-and-body.json', import.meta.url), 'utf8')) as Golden;

const parts: fc.Arbitrary<KeyParts> = fc.record({
  use: fc.constantFrom('generateMedia' as const, 'generate' as const),
  namespace: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  workflowId: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }),
  step: fc.string({ unit: 'grapheme', maxLength: 12 }),
  take: fc.integer({ min: 1, max: 30 }),
  attempt: fc.integer({ min: 1, max: 10 }),
  spent: fc.integer({ min: 0, max: 3 }),
});

describe('the same input gives the same key and the same bytes in every release', () => {
  test.each(golden.keys)('key $key', ({ parts: given, key }) => expect(idempotencyKey(given)).toBe(key));
  test.each(golden.bodies)('body $body', ({ input, body }) => expect(readInput(input).body).toBe(body));
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
          { ...a, take: a.take + 1 },
          { ...a, attempt: a.attempt + 1 },
          { ...a, spent: (a.spent ?? 0) + 1 },
          { ...a, step: a.step + text },
          { ...a, namespace: a.namespace + text },
          { ...a, workflowId: a.workflowId + text },
          { ...a, use: a.use === 'generate' ? ('generateMedia' as const) : ('generate' as const) },
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
