import type { GenerationMemo } from '../../src/contract/index.js';

/** A memo of a generation, for tests that need no Temporal. */
export function memo(change: Partial<GenerationMemo> = {}): GenerationMemo {
  return {
    phase: 'waiting',
    status: null,
    taskId: null,
    model: 'z-image',
    idempotencyKey: 'key-1',
    keyNumber: 1,
    attempt: 1,
    reservedCredits: 1,
    finalCredits: 0,
    hold: null,
    lookedBy: null,
    riskReason: null,
    earlier: [],
    mayPostSince: null,
    baseKey: 'key-1',
    labels: {},
    bodyDigest: 'digest',
    ...change,
  };
}

export const UNANSWERED = { firstPostedAt: 1, fingerprint: 'f' };
