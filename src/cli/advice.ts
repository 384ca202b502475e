/** Messages in the terms of the command line: its flags in the place of fields, and commands as a person can type them. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { errorCodeRow, type ErrorCode } from '../contract/index.js';
import type { InvalidInput } from '../policy/index.js';
import { COMMANDS } from './table.js';

/** Fields of inputs and of `resume`, with their flags. In JSON or code they read as `name`; `options.` may stand before. */
const FLAGS = [
  'clientRequestId',
  'idempotencyKey',
  'taskId',
  'maxAttempts',
  'maxCredits',
  'submitDeadline',
  'idempotencyWindow',
  'onActionNeeded',
  'storeAsIs',
];
const NAME = `(?:options\\.(deadline)|(?:options\\.)?\\b(${FLAGS.join('|')}))\\b`;
const flag = (name: string): string => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** What Workers and library say, and how the command line says it. The order counts. */
const WORDS: readonly (readonly [RegExp, string | ((...found: string[]) => string)])[] = [
  [/\{ ?"storeAsIs": true ?\}/g, '--store-as-is'],
  [/\{ ?"(taskId|reason)": "…" ?\}/g, (_, name = '') => `${flag(name)} "…"`],
  [/\bwith its taskId\b/g, 'with --task-id <its ID>'],
  // A value stands after its flag without a colon.
  [new RegExp(`${NAME}: (?:(\\d+)\\b|"(\\w+)")`, 'g'), (_, a, b, n, text) => `${flag(a ?? b ?? '')} ${n ?? text}`],
  [new RegExp(NAME, 'g'), (_, a, b) => flag(a ?? b ?? '')],
  [/\bunder the same Workflow ID with\b/g, 'with the same --id and'],
  [/\bunder the same Workflow ID\b/g, 'with the same --id'],
  [/\bunder another Workflow ID(?: \(or step name\))?/g, 'with another --id'],
  [/^(--param [^:=]+): (?=must be a (number|string)\b)/, (_, a, type) => `${a}${type === 'string' ? '=' : ':='}…: `],
];

// Names of commands, because "rivya-temporal" alone is the name of the package.
const NAMES = [...new Set(Object.keys(COMMANDS).map((name) => name.split(' ')[0]))].join('|');
const COMMAND = new RegExp(`(?:\\bnpx )?(?<![\\w/.@-])rivya-temporal (?=(?:${NAMES})(?![\\w-]))`, 'g');

/**
 * A message with flags in the place of fields, and with commands that can be typed here.
 * @param field - The field that the message begins with.
 */
export function advice(message: string, field?: string): string {
  const named =
    field !== undefined && message.startsWith(`${field}: `)
      ? `${optionOf(field)}${message.slice(field.length)}`
      : message;
  return commands(WORDS.reduce((text, [found, flags]) => text.replace(found, flags as string), named));
}

/** A text with its commands as they can be typed here: with `npx` where the command is not on the PATH. */
export function commands(text: string, onPath = isOnPath()): string {
  return text.replace(COMMAND, `${onPath ? '' : 'npx '}rivya-temporal `);
}

/** The option that fills a field of the input. */
export function optionOf(field: string): string {
  if (field.startsWith('--')) return field;
  if (field === 'workflowId') return '--id';
  const [, named, name] = /^(param|label)s\.(.+)$/.exec(field) ?? [];
  if (named !== undefined) return `--${named} ${name}`;
  const repeatable = /^(param|reference|label)s/;
  if (repeatable.test(field)) return field.replace(repeatable, '--$1');
  return flag(field.replace('options.', ''));
}

/** The message of a wrong input with the option of each of its fields. */
export function inOptions({ message, problems }: InvalidInput, optionFor = optionOf): string {
  const named = problems.map(({ field, problem }) => [problem, `${optionFor(field)}${problem.slice(field.length)}`]);
  return named.reduce((text, [problem = '', said = '']) => text.replace(problem, () => said), message);
}

const KEY = 'RIVYA_API_KEY or RIVYA_API_KEY_FILE';
/** What to do about a refused call that the command itself has made: neither a Worker nor a hold has part in it. */
const HERE: Partial<Record<ErrorCode, string>> = {
  public_api_disabled: 'Try again later.',
  api_key_missing: `Set ${KEY}, and run the command again.`,
  api_key_invalid: `Check ${KEY}, and run the command again.`,
  api_key_revoked: `Create a new key, set ${KEY}, and run the command again.`,
  api_key_expired: `Create a new key, set ${KEY}, and run the command again.`,
  api_scope_denied: `Create a key that has the scope, set ${KEY}, and run the command again.`,
  not_found: 'Check the ID, and that the key is of the account that it belongs to.',
  rate_limited: 'Wait a minute, and run the command again.',
  insufficient_credits: 'Add credits to the account, and run the command again.',
};

/** What to do after a call of the command itself, by the code and status of its error. */
export function adviceHere(code: string | null, httpStatus: number | null): string {
  const known = code !== null && Object.hasOwn(HERE, code) ? HERE[code as ErrorCode] : undefined;
  const { actor, action } = errorCodeRow(code, httpStatus);
  return known ?? (actor === 'nobody' ? 'Check the network and RIVYA_BASE_URL, and try again.' : action);
}

let found: boolean | null = null;

/** True where a shell finds the command. What npm puts before the PATH is there only while npm runs it. */
function isOnPath(): boolean {
  return (found ??= pathHas(process.env));
}

export function pathHas(env: NodeJS.ProcessEnv): boolean {
  const byNpm = env['npm_command'] !== undefined || env['npm_lifecycle_event'] !== undefined;
  const folders = (env['PATH'] ?? env['Path'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  const lasting = folders.filter((folder) => !byNpm || !/[\\/]node_modules[\\/]\.bin[\\/]?$/.test(folder));
  const names = process.platform === 'win32' ? ['rivya-temporal.cmd', 'rivya-temporal.exe'] : ['rivya-temporal'];
  return lasting.some((folder) => names.some((name) => existsSync(path.join(folder, name))));
}
