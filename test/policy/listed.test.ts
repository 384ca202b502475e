/** What the list of models proves wrong in a request, and what it does not: nothing valid is refused. */
import { describe, expect, test } from 'vitest';
import type { ListedParam } from '../../src/contract/index.js';
import { modelListSchema } from '../../src/api/schemas.js';
import { readParams } from '../../src/cli/params.js';
import { modelList } from '../../src/emulator/catalogue.js';
import { SWITCH_VALUES } from '../../src/emulator/switches.js';
import { askedOfList, readInput } from '../../src/policy/index.js';
import { isGivenAsText, listedProblem, type ListedModel } from '../../src/policy/listed.js';

const param = (name: string, type: string | null, options: ListedParam['options'] = null): ListedParam => {
  return { name, type, required: null, default: null, min: null, max: null, options };
};
const model = (id: string, more: Partial<ListedModel> = {}): ListedModel => {
  return { id, category: 'image', apiStatus: 'available', maxPromptLength: null, params: [], ...more };
};
const MODELS = [
  model('z-image', { maxPromptLength: 5 }),
  model('sora-2', {
    category: 'video',
    params: [param('n_frames', 'select', ['10', '15']), param('seed', 'number'), param('negative', 'text')],
  }),
  model('odd', { params: [param('loop', 'select', [true, false]), param('size', 'select'), param('scene', 'scene')] }),
  model('unread', { category: null, params: null }),
  model('gone', { apiStatus: 'coming_soon' }),
  model('gpt-5-2-chat', { category: 'chat' }),
];
const judge = (input: object, list = { models: MODELS, whole: true }): string | null => {
  const { body } = readInput({ prompt: 'a fox', ...input });
  return listedProblem(askedOfList('task', body), list)?.problem ?? null;
};
const video = (params: object): string | null => judge({ model: 'sora-2', params });

describe('refused, by the name of the field', () => {
  test.each<[string | null, string]>([
    [judge({ model: 'zimage' }), 'model: the list of models has no "zimage" (did you mean "z-image"?).'],
    [judge({ model: 'dall-e' }), 'model: the list of models has no "dall-e".'],
    [judge({ model: 'gpt-5-2-chat' }), 'model: "gpt-5-2-chat" answers chats and makes no media.'],
    [judge({ model: 'gone' }), 'model: "gone" cannot be called by the API (coming_soon).'],
    [judge({ model: 'z-image', prompt: '🦊🦊🦊🦊🦊🦊' }), 'prompt: has 6 characters, and "z-image" takes 5.'],
    [
      video({ n_frame: '10' }),
      'params.n_frame: is no parameter of "sora-2" (did you mean "n_frames"?); it has n_frames, seed, negative.',
    ],
    [video({ n_frames: 10 }), 'params.n_frames: must be a string, as each "select" parameter, not of type number.'],
    [video({ seed: '7' }), 'params.seed: must be a number, as each "number" parameter, not of type string.'],
    [video({ negative: ['a'] }), 'params.negative: must be a string, as each "text" parameter, not of type array.'],
  ])('%s', (problem, says) => expect(problem).toBe(says));

  test('a chat with a model that makes media', () => {
    const chat = (id: string) =>
      listedProblem(askedOfList('answer', JSON.stringify({ model: id })), { models: MODELS, whole: true });
    expect(chat('z-image')?.problem).toBe('model: "z-image" makes image, not chats.');
    expect(chat('gpt-5-2-cat')?.problem).toBe(
      'model: the list of models has no "gpt-5-2-cat" (did you mean "gpt-5-2-chat"?).',
    );
    expect(chat('gpt-5-2-chat')).toBeNull();
    expect(chat('unread')).toBeNull();
  });
});

test.each<[string, string | null]>([
  ['a listed model without listed params, with any', judge({ model: 'z-image', params: { a: 1, b: [null] } })],
  ['params that cannot be read', judge({ model: 'unread', params: { a: 1 } })],
  ['right params', video({ n_frames: '12', seed: 7, negative: 'x' })],
  ['a param that is null', video({ n_frames: null, seed: null })],
  ['references by hand', video({ referenceMediaItems: [{ url: 'https://x.example/a', kind: 'image' }] })],
  ['a select whose options are no texts, or are not listed', judge({ model: 'odd', params: { loop: true, size: 3 } })],
  ['a type that this version does not know', judge({ model: 'odd', params: { scene: { a: 1 } } })],
  ['a model that is not on the first page', judge({ model: 'new' }, { models: MODELS, whole: false })],
  ['a model, by a list that is empty', judge({ model: 'new' }, { models: [], whole: true })],
  ['a prompt of the longest length, by characters', judge({ model: 'z-image', prompt: '🦊🦊🦊🦊🦊' })],
])('not refused: %s', (_, problem) => expect(problem).toBeNull());

test.each(SWITCH_VALUES.modelParams)(
  'a param is taken as the command line says it is typed (list: %s)',
  (modelParams) => {
    const list = modelListSchema.parse(modelList({ modelParams, modelList: 'whole' }));
    const typed = list.models.flatMap(({ id, params }) =>
      (params ?? []).map((one) => ({ id, text: `${one.name}${isGivenAsText(one) ? '=' : ':='}${one.default}` })),
    );
    expect(typed.length > 0).toBe(modelParams === 'key' || modelParams === 'name');
    for (const { id, text } of typed)
      expect([text, judge({ model: id, params: readParams([text]) }, list)]).toEqual([text, null]);
  },
);

test.each<[ListedParam, boolean]>([
  [param('n_frames', 'select', ['10', '15']), true],
  [param('n_frames', 'select', [10, 15]), false],
  [param('loop', 'select', [true, false]), false],
  [param('loop', 'boolean'), false],
  [param('seed', 'integer'), false],
  [param('seed', 'number'), false],
  [{ ...param('speed', null), default: 1 }, false],
  [param('style', null), true],
])('%j is typed as text: %s', (one, isText) => expect(isGivenAsText(one)).toBe(isText));
