import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';

/** How often a server that starts is asked: it takes about 0.7 s, so this adds little to it. */
const RETRY_MS = 50;

/** A port of 127.0.0.1 that was free a moment ago: any, or this one, and then it rejects where that is taken. */
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

/** Waits until a check says yes; a check that fails has said no. Ends with the signal's reason. */
export async function until(check: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await check().catch(() => false))) {
    signal.throwIfAborted();
    await sleep(RETRY_MS);
    signal.throwIfAborted();
  }
}

/** Connects to a server whose port accepts connections already (gRPC's own back-off would cost a second otherwise). */
export function connectTo(address: string, timeoutMs: number): Promise<Connection> {
  // gRPC would take `http_proxy` for loopback addresses too.
  return Connection.connect({ address, connectTimeout: timeoutMs, channelArgs: { 'grpc.enable_http_proxy': 0 } });
}
