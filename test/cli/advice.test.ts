/** What Workers and library advise, as a person at a command line reads it: in flags, with commands that can be typed. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { RivyaApiError } from '../../src/api/index.js';
import { advice, commands, pathHas } from '../../src/cli/advice.js';
import { heldHere, judge } from '../../src/cli/errors.js';
import { MODULES } from '../../src/cli/modules.js';
import { COMMANDS } from '../../src/cli/table.js';
import { GenerationError } from '../../src/client.js';
import { ERROR_CODES } from '../../src/contract/index.js';
import { overBudget, readInput, resumeProblem, UNFIT, UNRESOLVED } from '../../src/policy/index.js';

test('each command has a module that is loaded', () => {
  const names = Object.keys(COMMANDS).map((name) => name.replace(/ [<[].*$/, ''));
  const withoutGroups = names.filter((name) => !names.some((other) => other.startsWith(`${name} `)));
  expect(Object.keys(MODULES).toSorted()).toEqual(withoutGroups.toSorted());
});

const MODEL = { model: 'z-image', prompt: 'a fox' };
const refused = (input: object): string => {
  try {
    readInput({ ...MODEL, ...input });
    return '';
  } catch (error) {
    return judge(error).message;
  }
};
const hold = { code: 'SubmitUnresolved', message: 'm', action: UNRESOLVED.task.action, httpStatus: null };
const held = { hold: { ...hold, requestId: null, since: '' } };

describe('the command line says it in its own flags', () => {
  test.each<[string, string]>([
    [advice(overBudget({ maxCredits: 1, model: 'x', attempt: 1, basePrice: 2 }) ?? ''), '--max-credits allows 1'],
    [
      advice('start again under the same Workflow ID with options.maxAttempts: 2.'),
      'with the same --id and --max-attempts 2.',
    ],
    [advice('start it under another Workflow ID (or step name).'), 'start it with another --id.'],
    [advice('start again with another idempotencyKey.'), 'start again with another --idempotency-key.'],
    [
      advice(UNRESOLVED.task.ended),
      'start again with --task-id <its ID>; if not, start again with the same --id (with --on-action-needed hold)',
    ],
    [advice(UNRESOLVED.task.action), 'resume with --task-id "…"; if not, resume with --reason "…" to post again'],
    [advice(resumeProblem({}, { ...held, unanswered: null }, 'task') ?? ''), 'Give --task-id "…" found'],
    [advice(UNFIT.action), 'resume with --store-as-is; if not'],
    [heldHere(held).hold.action, 'resume with --task-id "…"'],
    [refused({ options: { deadline: 'soon' } }), '--deadline: must be'],
    [refused({ taskId: 'a', options: { maxAttempts: 2 } }), '--max-attempts: must be 1 with --task-id'],
  ])('%s', (text, says) => {
    expect(text).toContain(says);
    expect(text).not.toMatch(/options\.|[a-z](Id|Key|Attempts|Credits|Needed)\b|\{/);
  });

  test.each([
    ['params.n_frames', '--param n_frames: '],
    ['labels.shop', '--label shop: '],
    ['references[0].path', '--reference[0].path: '],
    ['model', '--model: '],
  ])('a Worker names the field %s', (field, flag) => {
    const { message } = judge(new GenerationError('w', 'InvalidInput', `${field}: is wrong.`, { field }));
    expect(message).toBe(`${flag}is wrong.`);
  });
});

test.each([
  ['must be a number, as each "number" parameter', '--param seconds:=…: must be a number, as each "number" parameter'],
  ['must be a string, as each "text" parameter', '--param seconds=…: must be a string, as each "text" parameter'],
])('a param that %s is named as it must be typed', (problem, says) => {
  expect(advice(`params.seconds: ${problem}.`, 'params.seconds')).toBe(`${says}.`);
});

test.each(Object.entries(ERROR_CODES))('a refusal of %s here is no advice for a Worker', (code, { httpStatus }) => {
  const { action, message } = judge(new RivyaApiError('no', { outcome: 'refused', code, httpStatus }));
  expect(action).not.toMatch(/the Worker|resume|repeated/);
  expect(message).toContain(action);
});

describe('commands can be typed as they stand', () => {
  test('with npx where the command is not on the PATH, and without where it is', () => {
    const says = 'update rivya-temporal or wait with: rivya-temporal wait film (see rivya-temporal/docs)';
    const typed = 'update rivya-temporal or wait with: npx rivya-temporal wait film (see rivya-temporal/docs)';
    expect(commands(says, false)).toBe(typed);
    expect(commands(typed, false)).toBe(typed);
    expect(commands(typed, true)).toBe(says);
  });

  test.each(Object.keys(COMMANDS))('%s', (name) => {
    expect(commands(`See: rivya-temporal ${name}`, false)).toBe(`See: npx rivya-temporal ${name}`);
  });

  test('what npm puts before the PATH while it runs does not count', () => {
    const folder = path.join(mkdtempSync(path.join(tmpdir(), 'rivya-cli-path-')), 'node_modules', '.bin');
    mkdirSync(folder, { recursive: true });
    const bin = path.join(folder, process.platform === 'win32' ? 'rivya-temporal.cmd' : 'rivya-temporal');
    writeFileSync(bin, '');
    expect(pathHas({ PATH: folder })).toBe(true);
    expect(pathHas({ PATH: path.join(folder, 'other') })).toBe(false);
    expect(pathHas({ PATH: folder, npm_command: 'exec' })).toBe(false);
  });
});
