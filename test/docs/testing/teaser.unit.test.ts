// teaser.unit.test.ts: the same Workflow as a plain function
import { fakeActivities, fakeWorkflows } from 'rivya-temporal/testing';
import { expect, test, vi } from 'vitest';

const fake = fakeActivities({
  image: { urls: ['https://cdn.example/fox.png'] },
  clip: { taskFails: 'generation_failed' },
});
vi.doMock('rivya-temporal/workflows', () => fakeWorkflows(fake));

test('a clip that fails costs us the clip, not the teaser', async () => {
  const { teaser } = await import('./teaser.js');
  expect(await teaser('A fox')).toEqual({ image: 'https://cdn.example/fox.png', clip: null });
  expect(fake.calls('clip')).toMatchObject({ rivyaSubmit: 1, rivyaStore: 0 });
});
