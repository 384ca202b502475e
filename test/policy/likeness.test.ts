import { expect, test } from 'vitest';
import { likenessOf } from '../../src/policy/likeness.js';

const likeness = (params?: object): string => likenessOf(JSON.stringify({ model: 'veo', prompt: 'A fox', params }));

test('texts, links and seeds make no other likeness', () => {
  const usual = likeness({ resolution: '1080p', duration: 8 });
  for (const other of [{ seed: 7 }, { negative_prompt: 'blur' }, { imageUrl: 'https://example.com/a.png' }]) {
    expect(likeness({ resolution: '1080p', duration: 8, ...other }), JSON.stringify(other)).toBe(usual);
  }
});

test('numbers, switches, choices and the number of references do', () => {
  const all = [undefined, { duration: 8 }, { duration: 5 }, { audio: true }, { resolution: '720p' }, { items: [1, 2] }];
  expect(new Set([...all, { items: [1] }].map(likeness)).size).toBe(all.length + 1);
});

test('a choice is the same as a number and as a text, in any order', () => {
  expect(likeness({ a: '8', b: true })).toBe(likeness({ b: 'true', a: 8 }));
});
