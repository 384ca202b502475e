import { createSecureServer, createServer, type SecureServerOptions } from 'node:http2';
import type { AddressInfo } from 'node:net';

/** A Service that answers every call with a status, except those in `granted`, which get an empty answer. */
export async function startGrpcServer({
  status,
  words,
  granted = /^$/,
  tls,
}: {
  readonly status: number;
  readonly words: string;
  /** Names of calls. */
  readonly granted?: RegExp;
  readonly tls?: SecureServerOptions;
}) {
  const server = tls === undefined ? createServer() : createSecureServer(tls);
  const calls: string[] = [];
  let grants = granted;
  server.on('stream', (stream, { ':path': path = '' }) => {
    const call = path.replace(/.*\//, '');
    calls.push(call);
    const head = { ':status': 200, 'content-type': 'application/grpc' };
    if (!grants.test(call)) {
      stream.respond({ ...head, 'grpc-status': `${status}`, 'grpc-message': encodeURI(words) }, { endStream: true });
      return;
    }
    stream.respond(head, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    // One frame without content.
    stream.end(Buffer.alloc(5));
  });
  // Clients that break off, and handshakes that fail.
  server.on('sessionError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    /** From now on it refuses every call. */
    refuseAll: () => void (grants = /^$/),
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}
