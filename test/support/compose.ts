import { readFileSync } from 'node:fs';

/** docker-compose.yml. It is read as text: the project needs no YAML elsewhere. */
export const COMPOSE = readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8');

/** The lines of each service, by its name. */
export function services(): ReadonlyMap<string, string> {
  const [, block = ''] = /^services:\n((?:(?: .*)?\n)+)/m.exec(COMPOSE) ?? [];
  return new Map(
    Array.from(block.matchAll(/^ {2}([\w-]+):\n((?:(?: {3}.*)?\n)+)/gm), ([, name, lines]) => [name!, lines!]),
  );
}

/** The variables of a service. */
export function environmentOf(lines: string): Record<string, string> {
  const [, block = ''] = /^ {4}environment:\n((?: {6}.*\n)+)/m.exec(lines) ?? [];
  return Object.fromEntries(
    Array.from(block.matchAll(/^ {6}([A-Z_]+): (.*)$/gm), ([, name, value]) => [name!, value!]),
  );
}

/** The arguments of a service's `command`. */
export function commandOf(lines: string): string[] {
  const [, inLine, below = ''] = /^ {4}command:(?: \[(.*)\])?\n((?: {6}.*\n)*)/m.exec(lines) ?? [];
  const words = inLine?.split(', ') ?? Array.from(below.matchAll(/^ {6}- (.*)$/gm), ([, word]) => word!);
  return words.map((word) => word.replaceAll("'", ''));
}

/** The commands of the head of the file that match, in the order in which a person types them. */
export function typed(command: RegExp): string[] {
  const lines = Array.from(COMPOSE.matchAll(/^# {7}(\S.*?)(?: {2,}#.*)?$/gm), ([, line]) => line!);
  return lines.filter((line) => command.test(line));
}
