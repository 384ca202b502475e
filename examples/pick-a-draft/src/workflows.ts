import { condition, defineQuery, defineUpdate, setHandler, ApplicationFailure } from '@temporalio/workflow';
import { generate, generateAll, type GenerationResult } from 'rivya-temporal/workflows';

const DRAFTS = 4;

/** The drafts that a person can choose from; empty until they are there. */
export const draftsQuery = defineQuery<readonly string[]>('drafts');
/** Takes the number of a draft, from 1. */
export const pickUpdate = defineUpdate<string, [number]>('pick');

/**
 * Makes four cheap drafts, waits until a person picks one, and runs the expensive model for that one alone. The wait may
 * take weeks: it is one line in Temporal's database, and no Worker is busy with it.
 */
export async function pickADraft(subject: string): Promise<GenerationResult> {
  let drafts: readonly GenerationResult[] = [];
  let picked: GenerationResult | undefined;
  setHandler(draftsQuery, () => drafts.map(({ primaryUrl }) => primaryUrl ?? ''));
  setHandler(
    pickUpdate,
    (number) => {
      picked = drafts[number - 1];
      return `Draft ${number} it is.`;
    },
    {
      // Before anything is paid: a wrong number is refused, and nothing of it enters the history.
      validator: (number) => {
        if (drafts.length === 0) throw new ApplicationFailure('The drafts are not there yet.');
        if (drafts[number - 1] === undefined) throw new ApplicationFailure(`Pick a draft from 1 to ${drafts.length}.`);
      },
    },
  );

  const outcomes = await generateAll(
    // Children of this Workflow, which run on task queue `rivya`. Each name is paid once.
    Array.from({ length: DRAFTS }, (_, index) => ({
      step: `draft-${index + 1}`,
      model: 'z-image',
      prompt: `${subject}, sketch ${index + 1}`,
    })),
  );
  // A draft that failed keeps nobody from choosing among the others.
  drafts = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  if (drafts.length === 0) throw ApplicationFailure.nonRetryable('No draft succeeded.');

  await condition(() => picked !== undefined);
  return generate(
    {
      model: 'nano-banana-2',
      prompt: `${subject}, finished in every detail`,
      references: [{ from: picked!, kind: 'image' }],
    },
    { step: 'final' },
  );
}
