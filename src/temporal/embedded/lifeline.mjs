// @ts-check
/**
 * Runs a server that must not outlive our parent: `lifeline.mjs <lock or ''> <address> <binary> [argument …]`.
 *
 * We are the leader of a process group of our own, so a Ctrl-C in the terminal reaches neither us nor the server. The
 * IPC channel is the lifeline: the parent stops the server by a message, and the channel closes when the parent is
 * gone, however it went.
 * Plain JavaScript, because Node 20 has to run it from the sources too.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';

/** Time for the server to end cleanly (it needs about 1 s, more with a database file on a busy machine). */
const STOP_MS = 5_000;
/** A server that is being stopped holds its lock for STOP_MS at most; one second for the rest. */
const LOCK_MS = STOP_MS + 1_000;
/** Answer on the lock's socket while the server is being stopped. */
const STOPPING = 'stopping';

const [lock = '', address = '', binary = '', ...args] = process.argv.slice(2);

/** @type {import('node:child_process').ChildProcess | null} */
let server = null;
let stopping = false;

process.on('message', stop); // there is but one message
process.on('disconnect', stop);
process.on('SIGTERM', stop);
process.on('SIGHUP', stop);
process.on('SIGINT', () => {});
if (!process.connected) process.exit(1);

if (lock !== '' && !(await takeLock())) process.exit(0);
if (stopping) end();
server = spawn(binary, args, { stdio: ['ignore', 'inherit', 'inherit'], windowsHide: true });
server.once('error', (error) => report({ failed: error.message }, end));
server.once('exit', (code, signal) => report({ ended: signal ?? `status ${code}` }, end));
if (server.pid !== undefined) report({ pid: server.pid });

function stop() {
  if (stopping) return;
  stopping = true;
  if (server === null) return; // still waiting for the lock
  server.kill('SIGTERM');
  setTimeout(() => server?.kill('SIGKILL'), STOP_MS);
}

function end() {
  removeLock(); // we own it: nobody gets here who does not
  process.exit(0);
}

/**
 * @param {object} message
 * @param {() => void} [then]
 */
function report(message, then = () => {}) {
  if (process.connected) process.send?.(message, () => then());
  else then();
}

/**
 * Two servers on one database file would take turns in breaking each other's work. A socket that we listen on as long
 * as we live is a lock whose owner can be asked: it answers with the address of our server, and not at all when dead.
 *
 * @returns {Promise<boolean>} true if the lock is ours, false if the parent no longer wants it
 */
async function takeLock() {
  const giveUpAt = Date.now() + LOCK_MS;
  for (;;) {
    if (stopping) return false;
    const problem = await listen();
    if (problem === null) return true;
    if (problem.code !== 'EADDRINUSE') await reportAndExit({ failed: problem.message });
    const owner = await ask();
    if (owner === null) removeLock(); // its owner is dead
    if ((owner !== null && owner !== STOPPING) || Date.now() > giveUpAt) await reportAndExit({ lockedBy: owner ?? '' });
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
      peer.on('error', () => {}); // whoever asked has gone
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

/**
 * @param {object} message
 * @returns {Promise<never>}
 */
function reportAndExit(message) {
  return new Promise(() => report(message, () => process.exit(0)));
}
