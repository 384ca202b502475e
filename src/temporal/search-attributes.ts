/** The search attributes of this package in a namespace: which are registered, and their registration. */
import { isGrpcServiceError, type Client, type Connection } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { SEARCH_ATTRIBUTES } from '../contract/index.js';

// The types of the Service, by its numbers.
const TYPES = ['UNSPECIFIED', 'TEXT', 'KEYWORD', 'INT', 'DOUBLE', 'BOOL', 'DATETIME', 'KEYWORD_LIST'];
const WANTED = Object.entries(SEARCH_ATTRIBUTES);
// gRPC PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED: Temporal Cloud answers so.
const NO_RIGHT = new Set([7, 12, 16]);

/** This connection may not read or register search attributes, as on Temporal Cloud. */
export class NoRight extends Error {
  override readonly name = 'NoRight';
}

type WithOperator = Pick<Connection | NativeConnection, 'operatorService'>;

/** One attribute, and its type in the namespace; null where it is not registered. */
export type AttributeState = { readonly name: string; readonly type: string; readonly registeredAs: string | null };

/** The state of each attribute in a namespace. @throws NoRight where this connection may not ask. */
export async function attributeStates({ operatorService }: WithOperator, namespace: string): Promise<AttributeState[]> {
  const { customAttributes } = await allowed(operatorService.listSearchAttributes({ namespace }));
  return WANTED.map(([name, type]) => {
    const number = customAttributes[name];
    return { name, type, registeredAs: number === undefined ? null : (TYPES[number] ?? `type ${number}`) };
  });
}

/**
 * Registers attributes; one that is registered stays as it is. They are usable a moment later (0.2 s on a dev server).
 * @throws NoRight where the Service does not let this connection register any.
 */
export async function registerAttributes(
  { operatorService }: WithOperator,
  namespace: string,
  names: readonly string[] = WANTED.map(([name]) => name),
): Promise<void> {
  const wanted = WANTED.filter(([name]) => names.includes(name));
  const searchAttributes = Object.fromEntries(wanted.map(([name, type]) => [name, TYPES.indexOf(type)]));
  await allowed(operatorService.addSearchAttributes({ namespace, searchAttributes }));
}

// Refused where a name is not registered, or is of another type. An Int in place of a Double is not noticed.
const CONDITIONS = WANTED.map(([name, type]) => (type === 'KEYWORD' ? `${name} STARTS_WITH '-'` : `${name} = -1`));
// gRPC INVALID_ARGUMENT.
const REFUSED_QUERY = 3;
const FRESH_MS = 60_000;
// The Activity that waits for it has not sent its first heartbeat yet.
const ANSWER_MS = 3_000;

const answers = new WeakMap<Client, { readonly askedAt: number; readonly answer: Promise<boolean | undefined> }>();

/** Whether the namespace has all attributes, asked once a minute; undefined without an answer. Never throws. */
export async function hasAttributes(client: Client): Promise<boolean | undefined> {
  const last = answers.get(client);
  if (last !== undefined && Date.now() - last.askedAt < FRESH_MS) return last.answer;
  const answer = client.withDeadline(Date.now() + ANSWER_MS, () => ask(client)).catch(() => undefined);
  answers.set(client, { askedAt: Date.now(), answer });
  // Without an answer the next caller asks again.
  if ((await answer) === undefined) answers.delete(client);
  return answer;
}

async function ask({ connection, workflowService, options: { namespace } }: Client): Promise<boolean> {
  try {
    const states = await attributeStates(connection, namespace);
    return states.every(({ type, registeredAs }) => registeredAs === type);
  } catch (error) {
    if (!(error instanceof NoRight)) throw error;
  }
  try {
    await workflowService.countWorkflowExecutions({ namespace, query: CONDITIONS.join(' AND ') });
    return true;
  } catch (error) {
    if (!isGrpcServiceError(error) || (error.code as number) !== REFUSED_QUERY) throw error;
    return false;
  }
}

async function allowed<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isGrpcServiceError(error) || !NO_RIGHT.has(error.code)) throw error;
    throw new NoRight(error.details, { cause: error });
  }
}

/** What an owner of a Temporal Cloud namespace runs, where connections of programs may not register attributes. */
export function cloudLines(namespace: string): { readonly tcld: string; readonly terraform: readonly string[] } {
  const all = WANTED.map(([name, type]) => [name, `${type[0]}${type.slice(1).toLowerCase()}`]);
  const pairs = all.map(([name, type]) => `--search-attribute "${name}=${type}"`).join(' ');
  const terraform = all.map(([name, type]) => {
    return `resource "temporalcloud_namespace_search_attribute" "${name}" { namespace_id = "${namespace}", name = "${name}", type = "${type}" }`;
  });
  return { tcld: `tcld namespace search-attributes add --namespace ${namespace} ${pairs}`, terraform };
}
