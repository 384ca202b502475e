/** A Service that lets nobody read or register search attributes, as Temporal Cloud does: what is known then, and what a person is told. */
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import {
  attributeStates,
  cloudLines,
  hasAttributes,
  NoRight,
  registerAttributes,
} from '../../src/temporal/search-attributes.js';
import { newNamespace } from '../support/namespace.js';
import { until } from '../support/until.js';

let connection: Connection;
beforeAll(async () => {
  connection = await Connection.connect({ address: inject('temporalAddress') });
});
afterAll(() => connection.close());

/** The error of the Service, with its gRPC code. */
function refuses(code: number): () => Promise<never> {
  const details = 'Request unauthorized.';
  return () => Promise.reject(Object.assign(new Error(details), { code, details, metadata: {} }));
}

/** The real Service, but for the calls that need a right. */
function withoutRight(code: number): Connection {
  const operatorService = { listSearchAttributes: refuses(code), addSearchAttributes: refuses(code) };
  return Object.create(connection, { operatorService: { value: operatorService } }) as Connection;
}

test.each([
  ['permission denied', 7],
  ['unimplemented', 12],
  ['unauthenticated', 16],
])('%s is an error of its own, for reading and for registering', async (_, code) => {
  const denied = withoutRight(code);
  await expect(attributeStates(denied, 'any')).rejects.toThrow(NoRight);
  await expect(registerAttributes(denied, 'any')).rejects.toThrow(NoRight);
});

test('without that right a query tells whether they are registered, and whether one is of another kind', async () => {
  const [all, none, text] = [
    await newNamespace(connection),
    await newNamespace(connection),
    await newNamespace(connection),
  ];
  await registerAttributes(connection, all);
  await registerAttributes(connection, text, ['RivyaModel', 'RivyaTaskId', 'RivyaBatchId', 'RivyaCredits']);
  await connection.operatorService.addSearchAttributes({ namespace: text, searchAttributes: { RivyaStatus: 1 } });
  const known = (namespace: string) => hasAttributes(new Client({ connection: withoutRight(7), namespace }));
  await until(async () => (await known(all)) === true);
  expect(await known(none)).toBe(false);
  expect(await known(text)).toBe(false);
});

test('a Service that does not answer tells nothing, so nothing is written', async () => {
  const silent = Object.create(connection, { operatorService: { value: { listSearchAttributes: refuses(14) } } });
  expect(await hasAttributes(new Client({ connection: silent as Connection, namespace: 'any' }))).toBeUndefined();
});

test('an owner of a cloud namespace gets a line for each attribute with its type', () => {
  const { tcld, terraform } = cloudLines('media.a1b2c');
  expect(tcld).toContain('--namespace media.a1b2c --search-attribute "RivyaStatus=Keyword"');
  expect(tcld).toContain('"RivyaCredits=Double"');
  expect(terraform).toHaveLength(5);
});
