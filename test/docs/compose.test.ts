/** docker-compose.yml: the first thing a person types works without a key, and the recipe of the key file does. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../src/contract/index.js';
import { EMULATOR_API_KEY } from '../../src/emulator/index.js';
import { TIMEOUTS } from '../../src/policy/index.js';
import { commandOf, COMPOSE, environmentOf, services, typed } from '../support/compose.js';

const all = services();
const of = (name: string): string => all.get(name) ?? '';

test('`docker compose up` alone starts all of the stack, and asks for nothing', () => {
  const withProfile = [...all].filter(([, lines]) => lines.includes('profiles:')).map(([name]) => name);
  expect([...all.keys()].filter((name) => !withProfile.includes(name))).toEqual([
    'password',
    'postgres',
    'schema',
    'temporal',
    'setup',
    'ui',
    'worker',
    'emulator',
  ]);
  expect(withProfile).toEqual(['live-worker', 'prometheus', 'grafana']);
  expect(of('live-worker')).toContain('profiles: [live]');
  expect(typed(/ up /)).toEqual([
    'docker compose up --build --detach --wait',
    'docker compose --profile live up --build --detach --wait',
    'docker compose --profile monitoring up --build --detach --wait',
  ]);
  // The key of the live Worker is the one thing that a person brings, and nothing is asked for by a variable.
  const asks = [...all].filter(([, lines]) => /secrets:|\$\{\w+:?\?/.test(lines)).map(([name]) => name);
  expect(asks).toEqual(['live-worker']);
});

test('whatever runs on is checked for health, and whatever runs once is waited for by its end', () => {
  const once = [...all].filter(([, lines]) => lines.includes('<<: *once')).map(([name]) => name);
  expect(once).toEqual(['password', 'schema', 'setup']);
  for (const name of once) {
    // `up --wait` takes the end of such a service for a failure, where no other one waits for it.
    expect(
      [...all.values()].some((lines) => lines.includes(`${name}: { condition: service_completed_successfully }`)),
      name,
    ).toBe(true);
  }
  const running = [...all].filter(([name]) => !once.includes(name));
  for (const [name, lines] of running) expect(lines, name).toMatch(/healthcheck:|<<: \*worker/);
  const images = Array.from(COMPOSE.matchAll(/^ {4}image: (.*)$/gm), ([, image]) => image);
  for (const image of images) expect(image).toMatch(/:v?\d+\.\d+/);
});

test('the Worker may end its calls before it is killed', () => {
  const [, seconds] = /stop_grace_period: (\d+)s/.exec(COMPOSE.slice(COMPOSE.indexOf('x-worker:'))) ?? [];
  expect(Number(seconds) * 1_000).toBeGreaterThan(TIMEOUTS.shutdownGrace);
});

test('the namespaces of the Workers are made with the search attributes of this package, and remember for 30 days', () => {
  const script = readFileSync(new URL('../../deploy/temporal/setup.sh', import.meta.url), 'utf8');
  const made = Array.from(script.matchAll(/--name (\w+) --type (\w+)/g), ([, name, type]) => [
    name,
    type?.toUpperCase(),
  ]);
  expect(Object.fromEntries(made)).toEqual(SEARCH_ATTRIBUTES);
  for (const name of Object.keys(SEARCH_ATTRIBUTES)) expect(script).toMatch(new RegExp(`--query .*${name} = `));
  expect(script).toContain('--retention 720h');
  const [, , ...namespaces] = commandOf(of('setup'));
  expect(namespaces).toEqual([environmentOf(of('worker'))['TEMPORAL_NAMESPACE'], 'default']);
});

test('what the server is told of is what this package needs: fairness, and IDs that fit into a column', () => {
  const config = readFileSync(new URL('../../deploy/temporal/dynamic-config.yml', import.meta.url), 'utf8');
  expect(config).toMatch(/^matching\.enableFairness:\n {2}- value: true$/m);
  expect(config).toMatch(/^limit\.maxIDLength:\n {2}- value: 255$/m);
  expect(of('temporal')).toContain('DYNAMIC_CONFIG_FILE_PATH: /etc/rivya/dynamic-config.yml');
});

test('the password of the database is in no file of the repository and in no environment of a container', () => {
  expect(COMPOSE).not.toMatch(/(POSTGRES_PASSWORD|POSTGRES_PWD|SQL_PASSWORD):/);
  for (const name of ['postgres', 'schema', 'temporal']) expect(of(name)).toContain('password:/run/database:ro');
});

test('the Worker that starts alone pays nothing: it has the key of the emulator, at whose address it works', () => {
  const { RIVYA_API_KEY, RIVYA_BASE_URL, TEMPORAL_NAMESPACE } = environmentOf(of('worker'));
  expect(RIVYA_API_KEY).toBe(EMULATOR_API_KEY);
  expect(of('worker')).not.toMatch(/secrets|KEY_FILE/);
  // Plain HTTP is for loopback only, so the two share a network.
  expect(of('worker')).toContain('network_mode: service:emulator');
  const emulator = commandOf(of('emulator'));
  expect(RIVYA_BASE_URL).toBe(`http://127.0.0.1:${emulator[emulator.indexOf('--port') + 1]}`);
  expect(TEMPORAL_NAMESPACE).toBe('emulator');
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
