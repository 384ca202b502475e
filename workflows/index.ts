/** Deterministic code: import this, and nothing else of the package, from your own Workflow module. */
export * from './generate-media.js';
export { chat } from './chat.js';
export { estimateCredits, type EstimateOptions } from './estimate.js';
export type { CreditEstimate } from '../src/policy/budget.js';
export { startGeneration, type GenerationChild } from './child.js';
export { generate, type GenerateOptions } from './generate.js';
export {
  generateAll,
  type FailureReason,
  type GenerateAllOptions,
  type GenerationOutcome,
  type GenerationStep,
} from './generate-all.js';
export { rivyaResumeSignal, rivyaResumeUpdate, type StepResume } from './steps.js';
export { FAILURE, type FailureDetails, type FailureType } from '../src/contract/failures.js';
export type { ChatOptions, ChatRequest, ChatResult, ChatUsage } from '../src/contract/chat.js';
export type * from '../src/contract/generation.js';
export type * from '../src/contract/references.js';
export type { StoredFile } from '../src/contract/activities.js';
