// @ts-check
/**
 * Child process in which the Temporal SDK downloads the Temporal CLI: `sdk-download.mjs <directory> <SDK version>`.
 * Plain JavaScript, because Node 20 has to run it from the sources too. The parent kills it as soon as the file is there; a
 * failure is sent to the parent as a message.
 */
import { Runtime } from '@temporalio/worker';

// The SDK traps SIGTERM and its download never gives up: without this it would outlive a parent that was killed.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
if (!process.connected) process.exit(1);

const [downloadDir = '', sdkVersion = ''] = process.argv.slice(2);
const exe = /** @type {const} */ ({
  type: 'cached-download',
  downloadDir,
  version: 'default',
  ttl: 86_400_000, // the SDK's own default; the directory is new, so it never matters
  sdkName: 'sdk-typescript',
  sdkVersion,
});

try {
  // Used by @temporalio/testing for its environments, which installed users of this package do not have.
  await Runtime.instance().createEphemeralServer({
    type: 'dev-server',
    exe,
    ip: '127.0.0.1',
    port: null,
    ui: false,
    uiPort: null,
    namespace: 'default',
    dbFilename: null,
    log: { format: 'pretty', level: 'error' },
    // The SDK can only download and start. With this, what it starts ends by itself.
    extraArgs: ['--help'],
  });
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  // The long address says nothing to a reader, and the SDK repeats it.
  const short = message.replaceAll(/ for url \([^)]*\)/g, '');
  process.send?.(short, () => process.kill(process.pid, 'SIGKILL'));
}
