/** Pages of the documentation, as tests read them: their code blocks, headings and links. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A fenced code block. */
export interface Block {
  /** Line of its fence, from 1. */
  readonly line: number;
  /** Empty for plain text: output, or a drawing. */
  readonly language: string;
  readonly code: string;
  /** Why no test runs it, by the comment `<!-- not run: … -->` above it; null where one does. */
  readonly notRun: string | null;
}

export function blocksOf(markdown: string): Block[] {
  const fences = /(?:^<!-- not run: (.+) -->\n\n)?^```(\S*)\n([\s\S]*?)^```$/gm;
  return Array.from(markdown.matchAll(fences), ({ index, 0: all, 1: notRun, 2: language, 3: code }) => {
    const line = markdown.slice(0, index + all.indexOf('```')).split('\n').length;
    return { line, language: language!, code: code!, notRun: notRun ?? null };
  });
}

/** Anchors of the headings of a page, as GitHub makes them. */
function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.+)$/gm);
  const slug = (text: string): string =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
  return new Set(Array.from(headings, ([, heading]) => slug(heading!)));
}

/** Links of a page that lead to no file, or to no heading of one. Addresses on the web are not asked for. */
export function brokenLinks(root: string, page: string): string[] {
  const markdown = readFileSync(path.join(root, page), 'utf8');
  const targets = Array.from(markdown.matchAll(/\]\((?!https?:)([^)\s]+)\)/g), ([, target]) => target!);
  return targets.filter((target) => {
    const [file = '', anchor] = target.split('#');
    const at = file === '' ? path.join(root, page) : path.join(root, path.dirname(page), file);
    if (!existsSync(at)) return true;
    return anchor !== undefined && !anchorsOf(readFileSync(at, 'utf8')).has(anchor);
  });
}
