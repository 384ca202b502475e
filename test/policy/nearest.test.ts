import { expect, test } from 'vitest';
import { nearest } from '../../src/policy/nearest.js';

const MODELS = ['z-image', 'nano-banana-2', 'sora-2', 'sora-2-pro', 'kling-2-6', 'gpt-image-2'];

test.each([
  ['zimage', 'z-image'],
  ['Z-Image', 'z-image'],
  ['z-iamge', 'z-image'],
  ['sora2', 'sora-2'],
  ['sora-2-por', 'sora-2-pro'],
  ['nano-banana', 'nano-banana-2'],
  ['kling', 'kling-2-6'],
])('%s means %s', (word, meant) => {
  expect(nearest(word, MODELS)).toBe(meant);
});

test.each(['dall-e', 'x', '', 'veo3-1-lite'])('%j is like none of them', (word) => {
  expect(nearest(word, MODELS)).toBeNull();
});
