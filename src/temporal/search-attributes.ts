/** Registers the search attributes of this package in a namespace, and says how they stand there. */
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

/** One attribute, and its type in the namespace; null where it is not registered. */
export interface AttributeState {
  readonly name: string;
  readonly type: string;
  readonly registeredAs: string | null;
}

/**
 * How the attributes stand in a namespace.
 * @throws NoRight where the Service does not let this connection ask.
 */
export async function attributeStates(
  { operatorService }: Pick<Connection | NativeConnection, 'operatorService'>,
  namespace: string,
): Promise<AttributeState[]> {
  const { customAttributes } = await allowed(operatorService.listSearchAttributes({ namespace }));
  return WANTED.map(([name, type]) => {
    const number = customAttributes[name];
    return { name, type, registeredAs: number === undefined ? null : (TYPES[number] ?? `type ${number}`) };
  });
}

/**
 * Registers those that are missing; the others stay as they are. Usable a moment later (0.2 s on a dev server).
 * @throws NoRight where the Service does not let this connection register any.
 */
export async function registerAttributes(
  { operatorService }: Pick<Connection | NativeConnection, 'operatorService'>,
  namespace: string,
  names: readonly string[] = WANTED.map(([name]) => name),
): Promise<void> {
  const missing = WANTED.filter(([name]) => names.includes(name));
  const searchAttributes = Object.fromEntries(missing.map(([name, type]) => [name, TYPES.indexOf(type)]));
  await allowed(operatorService.addSearchAttributes({ namespace, searchAttributes }));
}

// Where the types are not told: a name that is not registered, or of another kind, is refused. An Int is not noticed.
const QUERY = WANTED.map(([name, type]) => (type === 'KEYWORD' ? `${name} STARTS_WITH '-'` : `${name} = -1`)).join(
  ' AND ',
);
// gRPC INVALID_ARGUMENT.
const REFUSED_QUERY = 3;
const FRESH_MS = 60_000;
// The Activity that waits for it has not sent its first heartbeat yet.
const ANSWER_MS = 3_000;

const answers = new WeakMap<Client, { readonly askedAt: number; readonly answer: Promise<boolean | undefined> }>();

/**
 * Whether the namespace of a client has all of them; undefined where the Service cannot tell. A client asks once a minute.
 * Never throws.
 */
export async function hasAttributes(client: Client): Promise<boolean | undefined> {
  const known = answers.get(client);
  if (known !== undefined && Date.now() - known.askedAt < FRESH_MS) return known.answer;
  const answer = ask(client).catch(() => undefined);
  answers.set(client, { askedAt: Date.now(), answer });
  // What could not be told is asked again.
  if ((await answer) === undefined) answers.delete(client);
  return answer;
}

async function ask(client: Client): Promise<boolean> {
  return client.withDeadline(Date.now() + ANSWER_MS, () => inTime(client));
}

async function inTime({ connection, workflowService, options: { namespace } }: Client): Promise<boolean> {
  try {
    const states = await attributeStates(connection, namespace);
    return states.every(({ type, registeredAs }) => registeredAs === type);
  } catch (error) {
    if (!(error instanceof NoRight)) throw error;
  }
  try {
    await workflowService.countWorkflowExecutions({ namespace, query: QUERY });
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

/** For whoever owns a namespace of Temporal Cloud, where connections of programs may not register any. */
export function cloudLines(namespace: string): { readonly tcld: string; readonly terraform: readonly string[] } {
  const all = Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => [
    name,
    `${type[0]}${type.slice(1).toLowerCase()}`,
  ]);
  const pairs = all.map(([name, type]) => `--search-attribute "${name}=${type}"`).join(' ');
  return {
    tcld: `tcld namespace search-attributes add --namespace ${namespace} ${pairs}`,
    terraform: all.map(
      ([name, type]) =>
        `resource "temporalcloud_namespace_search_attribute" "${name}" { namespace_id = "${namespace}", name = "${name}", type = "${type}" }`,
    ),
  };
}
