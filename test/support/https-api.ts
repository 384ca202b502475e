/** The emulator as the real API would look: behind HTTPS, under a host name, and without the header that marks it. */
import { createServer as createHttp, request } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { connect, type AddressInfo, type Server } from 'node:net';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { SIMULATED_HEADER } from '../../src/contract/index.js';
import { TEST_CERT, TEST_HOST, TEST_KEY } from '../api/certificate.js';

export interface HttpsApi extends AsyncDisposable {
  /** The settings of a process that calls it, through a proxy that finds the host. */
  readonly env: NodeJS.ProcessEnv;
}

/** @param folder - For the file of the certificate. */
export async function startHttpsApi(emulatorUrl: string, folder: string): Promise<HttpsApi> {
  const certificate = path.join(folder, 'api.pem');
  writeFileSync(certificate, TEST_CERT);
  const api = createHttps({ cert: TEST_CERT, key: TEST_KEY }, (incoming, reply) => {
    const target = new URL(incoming.url ?? '/', emulatorUrl);
    // The emulator makes the links of results from the host that it was asked under.
    const headers = { ...incoming.headers, host: target.host };
    const forwarded = request(target, { method: incoming.method, headers }, (answer) => {
      const { [SIMULATED_HEADER]: _, ...shown } = answer.headers;
      reply.writeHead(answer.statusCode ?? 502, shown);
      answer.pipe(reply);
    });
    forwarded.on('error', () => reply.destroy());
    incoming.pipe(forwarded);
  });
  const proxy = createHttp().on('connect', (_, socket) => {
    const tunnel = connect(portOf(api), '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    tunnel.pipe(socket).pipe(tunnel);
    for (const end of [tunnel, socket]) end.on('error', () => end.destroy());
  });
  for (const server of [api, proxy]) await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    env: {
      RIVYA_BASE_URL: `https://${TEST_HOST}`,
      HTTPS_PROXY: `http://127.0.0.1:${portOf(proxy)}`,
      NODE_EXTRA_CA_CERTS: certificate,
    },
    async [Symbol.asyncDispose]() {
      api.closeAllConnections();
      proxy.closeAllConnections();
      for (const server of [api, proxy]) await new Promise((done) => server.close(done));
    },
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
