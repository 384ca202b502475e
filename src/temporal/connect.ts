/** Connections to Temporal by its own settings: `TEMPORAL_*` and the profiles of its config file. */
import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnection } from '@temporalio/worker';
import { converterOf } from '../codec/converter.js';
import { encryptionOf, SettingsError } from '../config.js';
import { refusalOf, refusalText, UNAUTHENTICATED } from './refusal.js';
import { tlsMistake } from './tls.js';

// A Service that does not answer within this is not there; the SDK's default of 10 s makes a person wait for nothing.
const CONNECT_TIMEOUT_MS = 5_000;
const DEFAULT_ADDRESS = 'localhost:7233';
// gRPC status.
const NOT_FOUND = 5;

type Options = ReturnType<typeof loadClientConnectConfig>['connectionOptions'];

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

/** The address that Temporal's settings name, or null. A variable that is set but empty counts as not set. */
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

/**
 * A Client by Temporal's settings.
 * @param local - Server of this machine, used with its namespace `default` where the settings name no address.
 * @param encryption - Keys of the payloads, by default those of the settings.
 * @throws TemporalUnreachable, or SettingsError where Temporal's settings cannot be read, name no namespace that exists,
 * are refused, or make a mistake about TLS, and where a key is wrong.
 */
export async function connectClient(local?: string, encryption = encryptionOf()) {
  const { connection, ...target } = await reach(
    local,
    (options) => Connection.connect({ ...options, connectTimeout: CONNECT_TIMEOUT_MS }),
    true,
  );
  const dataConverter = converterOf(encryption);
  return { client: new Client({ connection, namespace: target.namespace, dataConverter }), ...target };
}

/** A connection for Workers by the same settings, with the same errors. */
export async function connectWorker(local?: string) {
  // Loaded here, because it is native and large: a command that only asks starts without it.
  const { NativeConnection } = await import('@temporalio/worker');
  return reach(local, (options) => NativeConnection.connect(options), false);
}

/** Where Temporal's settings, or else the server of this machine, lead. Nothing is connected. @throws SettingsError */
export function targetOf(local?: string) {
  const config = readConfig();
  const named = config.connectionOptions.address || null;
  // A namespace, key or certificate without an address belongs to no server of this machine.
  const isLocal = named === null && local !== undefined;
  const address = named ?? local ?? DEFAULT_ADDRESS;
  const options: Options = { ...(isLocal ? {} : config.connectionOptions), address };
  return { options, address, namespace: (isLocal ? null : config.namespace) ?? 'default' };
}

async function reach<T extends Connection | NativeConnection>(
  local: string | undefined,
  connect: (options: Options) => Promise<T>,
  /** A client may lack the right to ask about its namespace; a Worker cannot start without it. */
  mayLackRight: boolean,
) {
  const { options, address, namespace } = targetOf(local);
  const { apiKey } = options;
  if (typeof apiKey === 'string' && !/^[\x20-\x7e]*$/.test(apiKey)) {
    // The SDK would repeat the key in its error.
    throw new SettingsError('TEMPORAL_API_KEY: has a line break, or another character that no key has.');
  }
  try {
    const connection = await connect(options);
    // A namespace that does not exist, or a key that is refused, shows only at the first call, and then not in plain words.
    await connection.workflowService.describeNamespace({ namespace }).catch((error: unknown) => {
      if (isGrpcServiceError(error) && (error.code as number) === NOT_FOUND) {
        throw new SettingsError(
          `TEMPORAL_NAMESPACE: there is no namespace "${namespace}" at ${address}. Nothing was started.`,
        );
      }
      if (!mayLackRight || refusalOf(error)?.code === UNAUTHENTICATED) throw error;
    });
    return { connection, address, namespace };
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    const refusal = refusalOf(error);
    if (refusal !== null) throw new SettingsError(refusalText(refusal, address, namespace, options), { cause: error });
    if (error instanceof URIError) {
      // Of a client that takes its proxy from these variables.
      throw new SettingsError(
        'grpc_proxy, https_proxy, http_proxy: one has a "%" in its user name or password that begins no code like %40. Write "%25".',
      );
    }
    if (error instanceof TypeError) throw new SettingsError(`TEMPORAL_ADDRESS: ${error.message}`, { cause: error });
    const mistake = await tlsMistake(address, options, error);
    if (mistake !== null) throw new SettingsError(mistake, { cause: error });
    throw new TemporalUnreachable(address, error);
  }
}
