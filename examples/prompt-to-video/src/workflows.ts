import { chat, generate } from 'rivya-temporal/workflows';

/** What the Workflow returns: where the files are, and what it all cost. */
export interface Film {
  readonly prompt: string;
  readonly image: string;
  readonly video: string;
  readonly credits: number;
}

/**
 * A chat model writes the prompt, an image is made from it, and a video from that image. Each step is a child Workflow
 * `<this Workflow>/<step>`, which is paid once: when this Workflow is reset or started again, completed steps give their
 * stored results.
 */
export async function makeFilm(subject: string): Promise<Film> {
  const idea = await chat(
    { model: 'gemini-2-5-flash-chat', message: `In one sentence: a picture of ${subject}.` },
    { step: 'prompt' },
  );
  const image = await generate({ model: 'z-image', prompt: idea.content }, { step: 'image' });
  const video = await generate(
    {
      model: 'kling-2-6',
      prompt: 'The camera moves slowly to the left.',
      params: { duration: '5' },
      // By reference: the bytes never go through the history of this Workflow.
      references: [{ from: image, kind: 'image' }],
    },
    { step: 'video' },
  );
  const paid = [idea, image, video].map(({ finalCredits, reservedCredits }) => finalCredits ?? reservedCredits ?? 0);
  return {
    prompt: idea.content,
    image: image.files[0]?.uri ?? image.primaryUrl ?? '',
    video: video.files[0]?.uri ?? video.primaryUrl ?? '',
    credits: paid.reduce((sum, credits) => sum + credits, 0),
  };
}
