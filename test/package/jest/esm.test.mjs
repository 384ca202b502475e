import { GenerationClient } from 'rivya-temporal';
import { createTestEnvironment } from 'rivya-temporal/testing';

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
