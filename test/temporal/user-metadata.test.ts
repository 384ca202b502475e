/** What the Temporal UI says of a generation from its start on, with no Worker too. */
import { afterEach, expect, test, vi } from 'vitest';
import { readInput } from '../../src/policy/index.js';
import { userMetadata } from '../../src/temporal/user-metadata.js';

afterEach(() => vi.unstubAllEnvs());

const generation = readInput({ model: 'z-image', prompt: 'a private fox' });

test('it names the prompt, and what the buttons mean for the money', () => {
  const { staticSummary, staticDetails } = userMetadata(generation);
  expect(staticSummary).toBe('z-image: a private fox');
  expect(staticDetails).toMatch(/Terminate.* the task goes on at Rivya and is paid/);
});

test.each(['0', 'false'])('RIVYA_SUMMARY_PROMPTS=%s keeps private prompts out', (value) => {
  vi.stubEnv('RIVYA_SUMMARY_PROMPTS', value);
  expect(userMetadata(generation).staticSummary).toBe('z-image');
  expect(userMetadata({ ...generation, taskId: 'task_1' }).staticSummary).toBe('z-image: wait for task_1');
});
