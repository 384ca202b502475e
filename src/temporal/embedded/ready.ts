import { connect, createServer, type AddressInfo } from 'node:net';
import { Connection } from '@temporalio/client';

/** How often a server that starts is asked: it takes about 0.7 s, so this adds little to it. */
const RETRY_MS = 50;

/** True if nothing listens on this port of 127.0.0.1. */
export function isFree(port: number): Promise<boolean> {
  return listenOnce(port).then(
    () => true,
    () => false,
  );
}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return listenOnce(0);
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const { port: got } = server.address() as AddressInfo;
      server.close(() => resolve(got));
    });
  });
}

/** Waits until something accepts connections on this port. Ends with the signal's reason. */
export async function untilAccepts(port: number, signal: AbortSignal): Promise<void> {
  while (!(await accepts(port))) await pause(signal);
}

function accepts(port: number): Promise<boolean> {
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
export async function until(check: () => boolean | Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (
    !(await Promise.resolve()
      .then(check)
      .catch(() => false))
  )
    await pause(signal);
}

async function pause(signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  signal.throwIfAborted();
}

/** Connects to a server whose port accepts connections already (gRPC's own back-off would cost a second otherwise). */
export function connectTo(address: string, timeoutMs: number): Promise<Connection> {
  // gRPC would take `http_proxy` for loopback addresses too.
  return Connection.connect({ address, connectTimeout: timeoutMs, channelArgs: { 'grpc.enable_http_proxy': 0 } });
}
