/** docker-compose.yml: the first thing a person types works without a key, and the recipe of the key file does. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { EMULATOR_API_KEY } from '../../src/emulator/index.js';
import { commandOf, COMPOSE, environmentOf, services, typed } from '../support/compose.js';

const all = services();
const of = (name: string): string => all.get(name) ?? '';

test('`docker compose up` alone starts Temporal, the emulator and a Worker; only the live Worker asks for more', () => {
  const withProfile = [...all].filter(([, lines]) => lines.includes('profiles:')).map(([name]) => name);
  expect(all.size).toBe(4);
  expect([...all.keys()].filter((name) => !withProfile.includes(name)).toSorted()).toEqual([
    'emulator',
    'temporal',
    'worker',
  ]);
  expect(of('live-worker')).toContain('profiles: [live]');
  expect(typed(/ up /)).toEqual([
    'docker compose up --build --detach --wait',
    'docker compose --profile live up --build --detach --wait',
  ]);
});

test('the Worker that starts alone pays nothing: it has the key of the emulator, at whose address it works', () => {
  const { RIVYA_API_KEY, RIVYA_BASE_URL, TEMPORAL_NAMESPACE } = environmentOf(of('worker'));
  expect(RIVYA_API_KEY).toBe(EMULATOR_API_KEY);
  expect(of('worker')).not.toMatch(/secrets|KEY_FILE/);
  // Plain HTTP is for loopback only, so the two share a network.
  expect(of('worker')).toContain('network_mode: service:emulator');
  const emulator = commandOf(of('emulator'));
  expect(RIVYA_BASE_URL).toBe(`http://127.0.0.1:${emulator[emulator.indexOf('--port') + 1]}`);
  expect(of('temporal')).toContain(`--namespace=${TEMPORAL_NAMESPACE}`);
});

test('the live Worker has another namespace, and no variable of the emulator', () => {
  const { TEMPORAL_NAMESPACE = 'default', RIVYA_BASE_URL, RIVYA_API_KEY_FILE } = environmentOf(of('live-worker'));
  expect(TEMPORAL_NAMESPACE).not.toBe(environmentOf(of('worker'))['TEMPORAL_NAMESPACE']);
  expect(RIVYA_BASE_URL).toBeUndefined();
  expect(RIVYA_API_KEY_FILE).toBe('/run/secrets/rivya_api_key');
  expect(COMPOSE).toContain('file: ./secrets/rivya_api_key');
});

test('the recipe of the key file, as it is typed, makes a file that user 1000 of the container can read, and no other of the host', () => {
  const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-compose-'));
  const recipe = typed(/secrets/).join('\n');
  // The strictest umask that people have: without chmod the file would be its owner's alone.
  execFileSync('sh', ['-ec', `umask 077\n${recipe}`], { cwd, input: 'rvya_sk_pasted\n' });
  expect(readFileSync(path.join(cwd, 'secrets/rivya_api_key'), 'utf8')).toBe('rvya_sk_pasted\n');
  expect(statSync(path.join(cwd, 'secrets/rivya_api_key')).mode & 0o777).toBe(0o644);
  expect(statSync(path.join(cwd, 'secrets')).mode & 0o777).toBe(0o700);
});

test('each command that is typed in a container names a service of the file', () => {
  const named = typed(/compose (exec|cp) /).map((line) => /(?:exec|cp) ([\w-]+)/.exec(line)?.[1]);
  expect(new Set(named)).toEqual(new Set(['worker', 'live-worker']));
});
