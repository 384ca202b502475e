// @ts-check
/**
 * The process above an embedded server, which must not outlive our parent: `lifeline.mjs <lock or ''> <address> <binary>
 * [argument …]`. It leads a process group of its own, so a Ctrl-C in the terminal does not reach the server. The parent stops
 * the server by a message on the IPC channel, and the channel closes when the parent is gone.
 * Plain JavaScript, because Node 20 has to run it from the sources too.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';

/** Time for the server to end cleanly (it needs about 1 s, more with a database file on a busy machine). */
const STOP_MS = 5_000;
/** A server that is being stopped has its lock for STOP_MS, and a bit. */
const LOCK_MS = STOP_MS + 1_000;
/** Answer on the lock's socket while the server is being stopped. */
const STOPPING = 'stopping';

const [lock = '', address = '', binary = '', ...args] = process.argv.slice(2);

/** @type {import('node:child_process').ChildProcess | null} */
let server = null;
let stopping = false;

process.on('message', stop); // no other message is sent
process.on('disconnect', stop);
process.on('SIGTERM', stop);
process.on('SIGHUP', stop);
process.on('SIGINT', () => {});
if (!process.connected) process.exit(1);

if (lock !== '' && !(await takeLock())) process.exit(0);
if (stopping) end();
server = spawn(binary, args, { stdio: ['ignore', 'inherit', 'inherit'], windowsHide: true });
server.once('error', (error) => void report({ failed: error.message }).then(end));
server.once('exit', (code, signal) => void report({ ended: signal ?? `status ${code}` }).then(end));
if (server.pid !== undefined) void report({ pid: server.pid });

function stop() {
  if (stopping) return;
  stopping = true;
  if (server === null) return; // still waiting for the lock
  server.kill('SIGTERM');
  setTimeout(() => server?.kill('SIGKILL'), STOP_MS);
}

function end() {
  removeLock(); // only its owner gets here
  process.exit(0);
}

/**
 * Sends a message to the parent, if there still is one.
 * @param {object} message
 */
function report(message) {
  return new Promise((resolve) => (process.connected ? process.send?.(message, resolve) : resolve(null)));
}

/**
 * Takes the lock of the database file, which two servers would spoil. The lock is a socket on which this process listens as
 * long as it lives; it answers with the address of the server.
 * @returns {Promise<boolean>} true if the lock is ours; false where it is not (the parent has a message then)
 */
async function takeLock() {
  const giveUpAt = Date.now() + LOCK_MS;
  for (;;) {
    if (stopping) return false;
    const problem = await listen();
    if (problem === null) return true;
    if (problem.code !== 'EADDRINUSE') {
      await report({ failed: problem.message });
      return false;
    }
    const owner = await ask();
    if (owner === null) removeLock(); // its owner is dead
    if ((owner !== null && owner !== STOPPING) || Date.now() > giveUpAt) {
      await report({ lockedBy: owner ?? '' });
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A pipe of Windows is no file and disappears with its owner. */
function removeLock() {
  if (lock !== '' && process.platform !== 'win32') rmSync(lock, { force: true });
}

/** @returns {Promise<NodeJS.ErrnoException | null>} */
function listen() {
  return new Promise((resolve) => {
    const socket = createServer((peer) => {
      peer.on('error', () => {}); // the process that asked has gone
      peer.end(stopping ? STOPPING : address);
    });
    socket.once('error', resolve);
    socket.listen(lock, () => resolve(null));
  });
}

/** @returns {Promise<string | null>} what the owner of the lock says, or null if there is none */
function ask() {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(lock);
    socket.on('data', (data) => (answer += data));
    socket.once('error', () => resolve(null));
    socket.once('close', () => resolve(answer === '' ? STOPPING : answer));
  });
}
