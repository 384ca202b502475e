/** What the Temporal UI says of a generation from its start on. */
import { STATIC_DETAILS, titleOf, type Generation } from '../policy/index.js';

/**
 * Summary and details of a generation that is to be started. `RIVYA_SUMMARY_PROMPTS=0` keeps the prompt out of the summary, and so
 * does a value that is none: the command refuses it, and a program must not show what is private.
 */
export function userMetadata(generation: Generation): { staticSummary: string; staticDetails: string } {
  const showsPrompt = ['', '1'].includes(process.env['RIVYA_SUMMARY_PROMPTS'] ?? '');
  return { staticSummary: titleOf(generation, showsPrompt), staticDetails: STATIC_DETAILS };
}
