import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { carriedContent, readChat } from '../../src/policy/index.js';

const golden = JSON.parse(readFileSync(new URL('../golden/chat.json', import.meta.url), 'utf8')) as {
  readonly input: unknown;
  readonly body: string;
}[];

test.each(golden)('the same chat gives the same bytes in every release: $body', ({ input, body }) => {
  expect(readChat(input).body).toBe(body);
});

const HELLO = { model: 'gpt-5-2-chat', message: 'Hello' };

test.each([
  ['model', { ...HELLO, model: undefined }],
  ['message', { model: 'gpt-5-2-chat' }],
  ['message', { ...HELLO, message: '\n' }],
  ['message', { ...HELLO, message: '\ud800' }],
  ['message', { ...HELLO, message: 'x'.repeat(20_001) }],
  ['prompt', { ...HELLO, prompt: 'no' }],
  ['session', { ...HELLO, session: { sessionId: 'a' }, sessionId: 'b' }],
  ['session.sessionId', { ...HELLO, session: {} }],
  ['attachments', { ...HELLO, attachments: Array.from({ length: 21 }, () => ({ fileId: 'file_1' })) }],
  ['attachments[1].fileId', { ...HELLO, attachments: [{ fileId: 'file_1' }, {}] }],
  ['attachments[0].url', { ...HELLO, attachments: [{ url: 'https://example.com' }] }],
  ['enableWebSearch', { ...HELLO, enableWebSearch: 'yes' }],
  ['reasoningEffort', { ...HELLO, reasoningEffort: 'extreme' }],
  ['take', { ...HELLO, take: 0 }],
  ['options.maxAttempts', { ...HELLO, options: { maxAttempts: 2 } }],
  ['options.onActionNeeded', { ...HELLO, options: { onActionNeeded: 'wait' } }],
])('bad input is refused by the name of its field: %s', (field, input) => {
  expect(() => readChat(input)).toThrow(expect.objectContaining({ field }));
});

test('a message of 20,000 characters is taken, also where each is two units of UTF-16', () => {
  expect(readChat({ ...HELLO, message: '🦊'.repeat(20_000) }).model).toBe('gpt-5-2-chat');
});

describe('the content of an answer', () => {
  test.each(['', 'short', 'x'.repeat(999_998)])('stays whole where a history carries it', (content) => {
    expect(carriedContent(content)).toBe(content);
  });

  test.each(['x', 'é', '🦊', '"', '\n'])('is cut to 1 MB of JSON, never inside a character: %j', (character) => {
    const cut = carriedContent(`a${character.repeat(1_000_000)}`);
    const bytes = Buffer.byteLength(JSON.stringify(cut));
    expect(bytes).toBeLessThanOrEqual(1_000_000);
    expect(bytes).toBeGreaterThan(1_000_000 - 8);
    expect(cut.isWellFormed()).toBe(true);
  });
});
