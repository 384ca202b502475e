import { readFileSync } from 'node:fs';
import { findModel } from './catalogue.js';
import { drawPicture } from './picture.js';
import type { Reply } from './replies.js';
import type { Task } from './tasks.js';

/** The media of a succeeded task: a picture of its prompt, or the same short film or tune for all. */
export function mediaReply({ model, prompt, params }: Pick<Task, 'model' | 'prompt' | 'params'>): Reply {
  const kind = findModel(model)?.category;
  const reply = (type: string, body: Buffer): Reply => ({ status: 200, headers: { 'content-type': type }, body });
  if (kind === 'video') return reply('video/mp4', asset('simulated.mp4'));
  if (kind === 'audio') return reply('audio/mpeg', asset('simulated.mp3'));
  return reply('image/png', drawPicture(prompt ?? '(no prompt)', model, params));
}

function asset(name: string): Buffer {
  return readFileSync(new URL(`./assets/${name}`, import.meta.url));
}
