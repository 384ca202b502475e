import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnection } from '@temporalio/worker';
import { SettingsError } from '../config.js';

// A Service that does not answer within this is not there; the SDK's default of 10 s makes a person wait for nothing.
const CONNECT_TIMEOUT_MS = 5_000;
const DEFAULT_ADDRESS = 'localhost:7233';
// gRPC status.
const NOT_FOUND = 5;

export interface TemporalTarget {
  readonly address: string;
  readonly namespace: string;
}

/** Temporal cannot be reached. */
export class TemporalUnreachable extends Error {
  override readonly name = 'TemporalUnreachable';
  constructor(address: string, cause: unknown) {
    super(
      `Temporal cannot be reached at ${address}. Start one with "npx rivya-temporal dev", or set TEMPORAL_ADDRESS to where yours listens.`,
      { cause },
    );
  }
}

/** The address that Temporal's own settings name (`TEMPORAL_ADDRESS`, a profile of the config file), or null. */
export function configuredAddress(): string | null {
  return readConfig().connectionOptions.address || null;
}

function readConfig(): ReturnType<typeof loadClientConnectConfig> {
  try {
    return loadClientConnectConfig();
  } catch (error) {
    throw new SettingsError(`TEMPORAL_*: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function load(local?: string): ReturnType<typeof loadClientConnectConfig> & TemporalTarget {
  const config = readConfig();
  // A variable that is set but empty counts as not set.
  const named = config.connectionOptions.address || undefined;
  // A namespace, key or certificate without an address belongs to no server of this machine.
  if (named === undefined && local !== undefined) {
    return { connectionOptions: { address: local }, address: local, namespace: 'default' };
  }
  const address = named ?? DEFAULT_ADDRESS;
  return {
    ...config,
    connectionOptions: { ...config.connectionOptions, address },
    address,
    namespace: config.namespace ?? 'default',
  };
}

/**
 * A Client by Temporal's own settings (`TEMPORAL_*`, config file).
 * @param local - Server of this machine, used with its namespace `default` where the settings name no address.
 * @throws TemporalUnreachable, or SettingsError where Temporal's settings cannot be read.
 */
export async function connectClient(local?: string): Promise<{ client: Client } & TemporalTarget> {
  const { connection, ...target } = await reach(local, (options) =>
    Connection.connect({ ...options, connectTimeout: CONNECT_TIMEOUT_MS }),
  );
  return { client: new Client({ connection, namespace: target.namespace }), ...target };
}

/** A connection for Workers by the same settings, with the same errors. */
export async function connectWorker(local?: string): Promise<{ connection: NativeConnection } & TemporalTarget> {
  // Loaded here, because it is native and large: a command that only asks starts without it.
  const { NativeConnection } = await import('@temporalio/worker');
  return reach(local, (options) => NativeConnection.connect(options));
}

async function reach<T extends Connection | NativeConnection>(
  local: string | undefined,
  connect: (options: ReturnType<typeof load>['connectionOptions']) => Promise<T>,
): Promise<{ connection: T } & TemporalTarget> {
  const { connectionOptions, address, namespace } = load(local);
  try {
    const connection = await connect(connectionOptions);
    await requireNamespace(connection.workflowService, { address, namespace });
    return { connection, address, namespace };
  } catch (error) {
    throw error instanceof SettingsError ? error : new TemporalUnreachable(address, error);
  }
}

/** A namespace that does not exist shows only at the first call, and then not in plain words. */
async function requireNamespace(
  service: Pick<Connection['workflowService'], 'describeNamespace'>,
  { namespace, address }: TemporalTarget,
): Promise<void> {
  try {
    await service.describeNamespace({ namespace });
  } catch (error) {
    // Only this answer is certain: a key may lack the right to ask.
    if (!isGrpcServiceError(error) || (error.code as number) !== NOT_FOUND) return;
    throw new SettingsError(
      `TEMPORAL_NAMESPACE: there is no namespace "${namespace}" at ${address}. Nothing was started.`,
    );
  }
}
