/** Ports of 127.0.0.1, and waits for what a server does. */
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often a server that starts is asked: it takes about 0.7 s, so this adds little to it. */
const RETRY_MS = 50;

/** A port that was free a moment ago: any, or this one, and then it rejects where that is taken. */
export function freePort(port = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const { port: got } = server.address() as AddressInfo;
      server.close(() => resolve(got));
    });
  });
}

/** Whether something accepts connections on this port. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Waits until a check says yes; a check that fails has said no. Rejects with the signal's reason. */
export async function until(check: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await check().catch(() => false))) {
    signal.throwIfAborted();
    await sleep(RETRY_MS);
    signal.throwIfAborted();
  }
}
