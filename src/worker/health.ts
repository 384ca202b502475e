/** `/healthz` and `/readyz` of a Worker process, for Docker and Kubernetes. They say nothing that is secret. */
import { createServer, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NativeConnection } from '@temporalio/worker';
import { SettingsError, type ListenAddress } from '../config.js';
import { refusalOf } from '../temporal/refusal.js';

// Below the timeout of a probe, which is 1 s in Kubernetes where nothing else is set.
const ASK_MS = 800;

interface Watched {
  readonly connection: Pick<NativeConnection, 'workflowService' | 'withDeadline'>;
  readonly namespace: string;
  /** True while the Workers take work. */
  readonly isRunning: () => boolean;
}

/**
 * Serves the two pages. `/healthz` is 200 as long as the process answers: it is to be restarted only where it does not.
 * `/readyz` is 200 while the Workers poll and Temporal answers, otherwise 503 with the reason.
 * @throws SettingsError where the address is in use.
 */
export async function serveHealth({ host, port }: ListenAddress, watched: Watched): Promise<Server> {
  const server = createServer((request, response) => {
    const say = (status: number, text: string): void =>
      void response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`);
    if (request.url === '/healthz') say(200, 'ok');
    else if (request.url === '/readyz') {
      void notReady(watched).then((reason) => say(reason === null ? 200 : 503, reason ?? 'ok'));
    } else say(404, 'There is /healthz and /readyz.');
  });
  await listening(server, { host, port }, 'RIVYA_HEALTH_ADDRESS');
  // It must not keep a process that has nothing else to do.
  return server.unref();
}

async function notReady({ connection, namespace, isRunning }: Watched): Promise<string | null> {
  if (!isRunning()) return 'The Workers are stopping, or have failed.';
  const asked = connection.withDeadline(Date.now() + ASK_MS, () =>
    connection.workflowService.describeNamespace({ namespace }),
  );
  const reason = asked.then(
    () => null,
    (error: unknown) => `Temporal does not answer: ${refusalOf(error)?.words ?? 'it cannot be reached'}`,
  );
  // The SDK tries again for some seconds where there is no connection.
  const late = sleep(ASK_MS, 'Temporal does not answer: it cannot be reached', { ref: false });
  return Promise.race([reason, late]);
}

/** Listens, or says which setting names an address that cannot be used. @throws SettingsError */
export function listening(server: Server, address: ListenAddress, setting: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use by another process' : `cannot be used: ${error.message}`;
      reject(new SettingsError(`${setting}: ${address.host}:${address.port} ${why}. Nothing was started.`));
    });
    server.listen(address.port, address.host, resolve);
  });
}
