/** The references of an input file: `image:./fox.png`, a path alone, or a URL. A relative path starts at the input file. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { isMediaKind, type MediaKind } from '../../contract/index.js';
import { InvalidInput, isPlainObject } from '../../policy/fields.js';

const ENDINGS: Readonly<Record<MediaKind, RegExp>> = {
  image: /\.(png|jpe?g|webp)$/i,
  video: /\.(mp4|m4v|mov|webm)$/i,
  audio: /\.(mp3|m4a|wav|aac|ogg|opus)$/i,
};

/** A reference as `readInput` takes it; what is no text is left to `readInput`. @throws InvalidInput */
export function referenceOf(given: unknown, directory: string, field: string): unknown {
  if (isPlainObject(given)) {
    const { path: name } = given;
    return typeof name === 'string' ? { ...given, path: absolute(name, directory, field) } : given;
  }
  if (typeof given !== 'string') return given;
  const [, named, source = given] = /^(image|video|audio):(.+)$/s.exec(given.trim()) ?? [undefined, null, given.trim()];
  const place = sourceOf(source, directory, field);
  const kind = named ?? kindOf(source);
  if (isMediaKind(kind)) return { ...place, kind };
  const problem = `"${source}" has no ending that says what it is; write image:${source}, video:… or audio:…`;
  throw new InvalidInput(field, problem);
}

function sourceOf(source: string, directory: string, field: string): object {
  if (/^https?:/i.test(source)) return { url: source };
  // A letter before a colon is a drive.
  if (/^[a-z][a-z0-9+.-]+:/i.test(source)) return { uri: source };
  return { path: absolute(source, directory, field) };
}

/** An absolute path is one of the Worker, which may run elsewhere; a relative one must lead to a file here. */
function absolute(name: string, directory: string, field: string): string {
  if (path.isAbsolute(name)) return name;
  const file = path.resolve(directory, name);
  if (existsSync(file)) return file;
  throw new InvalidInput(field, `there is no file ${file}`);
}

function kindOf(source: string): MediaKind | null {
  const name = source.replace(/[?#].*$/s, '');
  return (Object.keys(ENDINGS) as MediaKind[]).find((kind) => ENDINGS[kind].test(name)) ?? null;
}
