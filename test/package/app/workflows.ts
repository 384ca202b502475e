import { generate } from 'rivya-temporal/workflows';

/** The link of one generation inside a Workflow of the user. */
export async function portrait(taskQueue: string): Promise<string | null> {
  const input = { model: 'z-image', prompt: 'A portrait', options: { taskQueue } };
  const { primaryUrl } = await generate(input, { step: 'portrait' });
  return primaryUrl;
}
