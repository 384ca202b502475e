import { TestWorkflowEnvironment } from '@temporalio/testing';
import { findServerBinary } from '../../src/temporal/embedded/find.js';
import program from './test-server.json' with { type: 'json' };

// The SDK's launcher gives up after 5 s, which a busy machine can need; each try starts a new server.
const TRIES = 4;

/** The test server that skips time. */
export async function createTimeSkipping(): Promise<TestWorkflowEnvironment> {
  const path = await findServerBinary({ program, log: (line) => console.error(line) });
  for (let attempt = 1; ; attempt++) {
    try {
      return await TestWorkflowEnvironment.createTimeSkipping({
        server: { executable: { type: 'existing-path', path } },
      });
    } catch (error) {
      if (attempt === TRIES) throw error;
    }
  }
}
