// A test as a CommonJS project has it.
/* oxlint-disable typescript/no-require-imports */
const { GenerationClient } = require('rivya-temporal');
const { createTestEnvironment } = require('rivya-temporal/testing');

test('a generation', async () => {
  const env = await createTestEnvironment();
  try {
    const client = new GenerationClient(env.client);
    const handle = await client.start({ model: 'z-image', prompt: 'A fox' }, { workflowId: 'fox' });
    expect(await handle.result()).toMatchObject({ status: 'succeeded' });
    expect((await env.emulator.ledger()).paidTasks).toBe(1);
  } finally {
    await env.dispose();
  }
}, 120_000);
