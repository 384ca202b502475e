import { describe, expect, test } from 'vitest';
import { creditEstimate, overBudget } from '../../src/policy/index.js';

describe('a budget', () => {
  const asked = { maxCredits: 10, model: 'veo3-1-lite', attempt: 1, basePrice: 10 };
  test.each([
    ['is not passed at its very limit', asked, null],
    ['counts the attempts that were made', { ...asked, attempt: 2 }, /10 x 2 attempts = 20/],
    [
      'is passed by a model that costs more',
      { ...asked, basePrice: 11 },
      /allows 10 credits, .* starts at 11\. Nothing/,
    ],
    ['takes an unknown price for too much', { ...asked, basePrice: null }, /names no price for "veo3-1-lite"/],
    ['lets what is free through', { ...asked, basePrice: 0, attempt: 10 }, null],
  ])('%s', (_, call, problem) => {
    if (problem === null) expect(overBudget(call)).toBeNull();
    else expect(overBudget(call)).toMatch(problem);
  });
});

describe('an estimate', () => {
  const prices = { 'z-image': 1, runway: 12, new: null };
  test.each([
    ['covered', ['z-image', 'z-image', 'runway'], 14, { total: 14, unknown: [], enough: true }],
    ['not covered', ['runway'], 11, { total: 12, unknown: [], enough: false }],
    ['not known, where a price is not', ['z-image', 'new', 'new'], 14, { total: 1, unknown: ['new'], enough: null }],
    ['not covered, whatever else it costs', ['runway', 'new'], 11, { total: 12, unknown: ['new'], enough: false }],
    ['not known, where the balance is not', ['z-image'], null, { total: 1, unknown: [], enough: null }],
  ])('is %s', (_, models, currentCredits, expected) => {
    const estimate = creditEstimate(models, { prices, currentCredits });
    expect(estimate).toMatchObject({ ...expected, currentCredits });
    expect(estimate.requests.map(({ model }) => model)).toEqual(models);
  });
});
