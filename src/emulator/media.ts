import { readFileSync } from 'node:fs';
import type { Reply } from './replies.js';
import { drawPicture } from './picture.js';
import { mediaExtension, type Task } from './tasks.js';

function asset(name: string): Buffer {
  return readFileSync(new URL(`./assets/${name}`, import.meta.url));
}

/** The media of a succeeded task: a picture of its prompt, or the same short film or tune for all. */
export function mediaReply(task: Task): Reply {
  const file = (type: string, body: Buffer): Reply => ({ status: 200, headers: { 'content-type': type }, body });
  switch (mediaExtension(task.model)) {
    case 'mp4':
      return file('video/mp4', asset('simulated.mp4'));
    case 'mp3':
      return file('audio/mpeg', asset('simulated.mp3'));
    default:
      return file('image/png', drawPicture(task.prompt ?? '(no prompt)', task.model, task.params));
  }
}
