// teaser.ts: your Workflows
import { ApplicationFailure } from '@temporalio/workflow';
import { FAILURE, generate } from 'rivya-temporal/workflows';

export * from 'rivya-temporal/workflows';

/** An image and a clip of it; the image alone where the clip fails at Rivya. */
export async function teaser(subject: string): Promise<{ image: string | null; clip: string | null }> {
  const image = await generate({ model: 'z-image', prompt: subject }, { step: 'image' });
  try {
    const clip = await generate({ model: 'veo3-1-lite', prompt: `${subject}, slow pan` }, { step: 'clip' });
    return { image: image.primaryUrl, clip: clip.primaryUrl };
  } catch (error) {
    if (!(error instanceof ApplicationFailure) || error.type !== FAILURE.GenerationFailed) throw error;
    return { image: image.primaryUrl, clip: null };
  }
}
