import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { setPriority, tmpdir } from 'node:os';
import path from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { userDirectory } from '../../src/local/directories.js';
import { until } from './until.js';

// A gateway that many run in production, as a Go module. Its files and its uploads are plain files and folders.
const MODULE = 'github.com/versity/versitygw/cmd/versitygw';
const VERSION = 'v1.8.0';
/** Once for each machine: two to four minutes of compiling on two cores, and some 120 MB to fetch. Give a hook this long. */
export const S3_SETUP_MS = 900_000;

export interface S3Server {
  readonly endpoint: string;
  /** The settings of the owner of the bucket. */
  readonly env: Readonly<Record<string, string>>;
  /** Of the owner. */
  readonly client: S3Client;
  /** Credentials that are accepted and have no right to the bucket. */
  readonly stranger: Readonly<Record<string, string>>;
  /** The folder with the bucket. Names of objects are paths in it. */
  readonly folder: string;
  readonly bucket: string;
  /** Kills the process; what it holds stays. */
  readonly stop: () => Promise<void>;
  /** Runs it again, at the same address. */
  readonly start: () => Promise<void>;
  /** Stops it for good, and takes its files away. */
  readonly remove: () => Promise<void>;
}

/** A server of its own with one empty bucket. The first one on a machine is compiled: see {@link S3_SETUP_MS}. */
export async function startS3Server(): Promise<S3Server> {
  const binary = await s3Binary();
  const root = await mkdtemp(path.join(tmpdir(), 'rivya-s3-'));
  const folder = path.join(root, 'data');
  const bucket = 'media';
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const credentials = { AWS_ACCESS_KEY_ID: 'tests', AWS_SECRET_ACCESS_KEY: 'secret-of-tests' };
  let child: ChildProcess | undefined;

  const stop = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  const start = async (): Promise<void> => {
    const listen = ['--port', `127.0.0.1:${port}`, '--region', 'us-east-1', '--health', '/health', '--keep-alive'];
    const args = [...listen, '--quiet', '--iam-dir', path.join(root, 'iam')];
    const env = { ROOT_ACCESS_KEY: credentials.AWS_ACCESS_KEY_ID, ROOT_SECRET_KEY: credentials.AWS_SECRET_ACCESS_KEY };
    // The sidecar keeps what else would be extended attributes, which not every file system of a CI machine has.
    const posix = ['posix', '--sidecar', path.join(root, 'meta'), folder];
    child = spawn(binary, [...args, ...posix], { stdio: 'ignore', env: { ...process.env, ...env } });
    const running = child;
    await until(async () => {
      if (running.exitCode !== null) throw new Error(`${binary} ended with status ${running.exitCode}`);
      return fetch(`${endpoint}/health`).then(
        (answer) => answer.ok,
        () => false,
      );
    });
  };
  const stranger = { AWS_ACCESS_KEY_ID: 'stranger', AWS_SECRET_ACCESS_KEY: 'secret-of-a-stranger' };
  await Promise.all(['data', 'meta', 'iam'].map((name) => mkdir(path.join(root, name))));
  const account = { access: stranger.AWS_ACCESS_KEY_ID, secret: stranger.AWS_SECRET_ACCESS_KEY, role: 'user' };
  await writeFile(path.join(root, 'iam', 'users.json'), JSON.stringify({ accessAccounts: { stranger: account } }));
  await start();
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = credentials;
  const owner = { endpoint, forcePathStyle: true, region: 'us-east-1', credentials: { accessKeyId, secretAccessKey } };
  const client = new S3Client(owner);
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  return {
    endpoint,
    env: { ...credentials, AWS_REGION: 'us-east-1', RIVYA_S3_ENDPOINT: endpoint, RIVYA_S3_PATH_STYLE: '1' },
    client,
    stranger,
    folder: path.join(folder, bucket),
    bucket,
    stop,
    start,
    remove: async () => {
      await stop();
      await rm(root, { recursive: true });
    },
  };
}

/** `VERSITYGW_PATH`, or the pinned version from the cache of this package, compiled into it where it is not there yet. */
export async function s3Binary(): Promise<string> {
  const given = process.env['VERSITYGW_PATH'];
  if (given) return given;
  const exe = process.platform === 'win32' ? '.exe' : '';
  const target = path.join(userDirectory('cache'), `versitygw-${VERSION.slice(1)}${exe}`);
  const found = await access(target).then(
    () => true,
    () => false,
  );
  if (found) return target;
  await mkdir(path.dirname(target), { recursive: true });
  // Beside its target, so that the rename publishes it whole: two test files may compile at the same time.
  const bin = await mkdtemp(path.join(path.dirname(target), 'versitygw-build-'));
  console.error(`Compiling ${MODULE}@${VERSION} for the tests of S3, once for this machine: some minutes.`);
  try {
    await goInstall(bin);
    await rename(path.join(bin, `versitygw${exe}`), target);
  } finally {
    await rm(bin, { recursive: true, force: true });
  }
  return target;
}

async function goInstall(bin: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const env = { ...process.env, GOBIN: bin };
    const go = execFile(
      'go',
      ['install', `${MODULE}@${VERSION}`],
      { env, timeout: S3_SETUP_MS },
      (error, _out, err) => {
        if (error === null) return resolve();
        const why = error.killed ? `it took more than ${S3_SETUP_MS / 60_000} minutes` : err.trim().slice(-500);
        const advice = `Install Go, or set VERSITYGW_PATH to the program versitygw (${VERSION}).`;
        return reject(new Error(`No S3 server for the tests: go install failed (${why || error.message}). ${advice}`));
      },
    );
    // The other tests have time limits.
    if (go.pid !== undefined) setPriority(go.pid, 19);
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
