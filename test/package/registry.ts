/** A registry for `npm install rivya-temporal` as the README has it: it has the tarball, and sends npm elsewhere for the rest. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Registry {
  readonly url: string;
  close(): void;
}

export async function startRegistry(tarball: string, manifest: object, other: string): Promise<Registry> {
  const bytes = await readFile(tarball);
  const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  const server = createServer(({ url = '/' }, response) => {
    if (url === '/rivya-temporal.tgz') return response.end(bytes);
    if (url !== '/rivya-temporal') return response.writeHead(307, { location: new URL(url, other).href }).end();
    const { version } = manifest as { version: string };
    const packed = { ...manifest, dist: { tarball: `${registry.url}/rivya-temporal.tgz`, integrity } };
    const body = { name: 'rivya-temporal', 'dist-tags': { latest: version }, versions: { [version]: packed } };
    return response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  const registry = { url: `http://127.0.0.1:${port}`, close };
  return registry;
}
