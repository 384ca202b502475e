/** `rivya-temporal setup`, on the real server: what it registers, what it refuses, what it says to an owner of a cloud namespace. */
import { tmpdir } from 'node:os';
import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { attributeStates } from '../../src/temporal/search-attributes.js';
import { newNamespace } from '../support/namespace.js';
import { until } from '../support/until.js';
import { runCommand, type Finished } from './command.js';

let connection: Connection;
beforeAll(async () => {
  connection = await Connection.connect({ address: inject('temporalAddress') });
});
afterAll(() => connection.close());

function setup(namespace: string, ...args: string[]): Promise<Finished> {
  const env = { TEMPORAL_ADDRESS: inject('temporalAddress'), TEMPORAL_NAMESPACE: namespace };
  const cwd = tmpdir();
  return runCommand(['setup', ...args], { env: { ...env, RIVYA_UI_URL: 'http://127.0.0.1:8233' }, cwd });
}

test('it registers what is missing, once, and a dry run registers nothing', async () => {
  const namespace = await newNamespace(connection);
  const dry = await setup(namespace, '--dry-run', '--json');
  const all = ['RivyaStatus', 'RivyaModel', 'RivyaTaskId', 'RivyaBatchId', 'RivyaCredits'];
  expect(JSON.parse(dry.stdout)).toMatchObject({ registered: [], missing: all, existed: [] });
  const states = await attributeStates(connection, namespace);
  expect(states.map(({ registeredAs }) => registeredAs)).toEqual(all.map(() => null));
  const first = await setup(namespace);
  expect(first).toMatchObject({ status: 0, stderr: expect.stringContaining('there is no store here') });
  for (const { type, registeredAs } of await attributeStates(connection, namespace)) expect(registeredAs).toBe(type);
  const again = await setup(namespace, '--json');
  expect(JSON.parse(again.stdout)).toMatchObject({ registered: [], missing: [], existed: all });
});

test('its links open views of the UI; what is held or fails asks for running Workflows', async () => {
  const { stdout } = await setup(await newNamespace(connection), '--json');
  const { views } = JSON.parse(stdout) as { views: Record<string, string> };
  for (const [name, link] of Object.entries(views)) {
    const { searchParams } = new URL(link);
    expect(searchParams.get('savedQuery')).toBe(name);
    const query = searchParams.get('query')!;
    if (/held|Problems/.test(query)) expect(query).toContain("ExecutionStatus = 'Running'");
    // The Service understands it.
    await connection.workflowService.countWorkflowExecutions({
      namespace: decodeURIComponent(new URL(link).pathname.split('/')[2]!),
      query,
    });
  }
  expect(Object.keys(views)).toHaveLength(10);
});

test('a name of another type is refused with the way out, and nothing is registered', async () => {
  const namespace = await newNamespace(connection);
  await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: { RivyaCredits: 3 } });
  await until(async () =>
    (await attributeStates(connection, namespace)).some(({ registeredAs }) => registeredAs === 'INT'),
  );
  const refused = await setup(namespace);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toContain('RivyaCredits is of type INT, not DOUBLE');
  expect(refused.stderr).toContain(
    `temporal operator search-attribute remove --namespace ${namespace} --name RivyaCredits`,
  );
  const states = await attributeStates(connection, namespace);
  expect(states.filter(({ registeredAs }) => registeredAs !== null)).toHaveLength(1);
});

test('a namespace that is not there is named, and nothing was started', async () => {
  const { status, stderr } = await setup('nowhere');
  expect(status).toBe(2);
  expect(stderr).toContain('there is no namespace "nowhere"');
});
