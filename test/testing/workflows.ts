/** Workflows of a user. */
import { chat, generate } from '../../workflows/index.js';

/** An image, and a text about it. */
export async function poster(subject: string): Promise<{ image: string | null; text: string }> {
  const image = await generate({ model: 'z-image', prompt: subject }, { step: 'image' });
  const { content: text } = await chat({ model: 'gpt-5-2-chat', message: subject }, { step: 'text' });
  return { image: image.primaryUrl, text };
}
