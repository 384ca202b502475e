/**
 * The functions that your own Workflows call. Import this entry, and nothing else of the package, from your Workflow
 * module: it starts children and never pays by itself. Deterministic.
 */
export {
  changeDeadlineSignal,
  changeDeadlineUpdate,
  checkNowSignal,
  checkNowUpdate,
  generationQuery,
  resumeSignal,
  resumeUpdate,
} from './handlers.js';
export { chat } from './chat.js';
export { estimateCredits, type EstimateOptions } from './estimate.js';
export type { CreditEstimate } from '../src/policy/budget.js';
export type { StepOptions } from './children.js';
export { generate, startGeneration, type GenerationChild } from './generate.js';
export { generateAll, type FailureReason, type GenerationOutcome, type GenerationStep } from './generate-all.js';
export { FAILURE, type FailureDetails, type FailureType } from '../src/contract/failures.js';
export type { ChatOptions, ChatRequest, ChatResult, ChatUsage } from '../src/contract/chat.js';
export type * from '../src/contract/generation.js';
export type * from '../src/contract/references.js';
export type { StoredFile } from '../src/contract/activities.js';
