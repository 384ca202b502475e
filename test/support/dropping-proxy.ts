import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A path to `target` (`host:port`) that breaks off each connection after some time, and every one at `close`. */
export async function startDroppingProxy(target: string, afterMs: number) {
  const [host = '', port = ''] = target.split(':');
  const open = new Set<Socket>();
  let drops = 0;
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    const end = (): void => {
      for (const socket of [near, far]) {
        open.delete(socket);
        socket.destroy();
      }
    };
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', end).on('close', end);
    }
    near.pipe(far).pipe(near);
    setTimeout(() => {
      if (open.has(near)) drops += 1;
      end();
    }, afterMs).unref();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: own } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${own}`,
    drops: () => drops,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
