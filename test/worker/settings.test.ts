import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { Environment, readSettings, SettingsError, unknownSettings } from '../../src/config.js';
import { activitiesPerSecond } from '../../src/policy/index.js';
import { checkWorkerSettings } from '../../src/worker/check.js';
import { settingsOf } from '../../src/worker/options.js';

describe('a wrong setting is a named error at start', () => {
  test.each([
    ['RIVYA_BASE_URL', 'http://example.com'],
    ['RIVYA_BASE_URL', 'rivya.ai'],
    ['RIVYA_BASE_URL', 'https://user:pw@rivya.ai'],
    ['RIVYA_RATE_LIMIT_PER_MINUTE', 'fast'],
    ['RIVYA_RATE_LIMIT_PER_MINUTE', '0'],
    ['RIVYA_WORKER_ROLES', 'workflows,cook'],
    ['RIVYA_WORKER_ROLES', ','],
    ['RIVYA_PATIENCE', ' '],
    ['RIVYA_PATIENCE', '-1'],
    ['RIVYA_PATIENCE', '3601'],
    ['RIVYA_STORE', 'ftp://host/dir'],
    ['RIVYA_STORE', 'file:'],
    ['RIVYA_UI_URL', 'localhost'],
    ['RIVYA_API_KEY_FILE', '/does/not/exist'],
    ['RIVYA_API_KEY_FILE', '/dev/null'],
    ['RIVYA_TASK_QUEUE', ' '],
    ['RIVYA_API_KEY', 'rvya_sk_with space'],
    ['RIVYA_TRUSTED_RESULT_HOSTS', 'http://host/path'],
  ])('%s=%s', (name, value) => {
    expect(() => readSettings({ [name]: value })).toThrow(SettingsError);
    expect(() => readSettings({ [name]: value })).toThrow(name);
  });

  test('all wrong settings are told at once, and a secret is never repeated', () => {
    const env = { RIVYA_BASE_URL: 'http://example.com', RIVYA_STORE: 'ftp:x', RIVYA_API_KEY: 'rvya_sk_se cret' };
    const message = (() => {
      try {
        readSettings(env);
      } catch (error) {
        return (error as Error).message;
      }
      return 'accepted';
    })();
    for (const name of Object.keys(env)) expect(message).toContain(name);
    expect(message).not.toContain('cret');
  });

  const wrongAtOnce = (work: () => unknown): string => {
    try {
      work();
      return '';
    } catch (error) {
      expect(error).toBeInstanceOf(SettingsError);
      return (error as Error).message;
    }
  };

  test('all wrong options are told at once, also what is none and a wrong policy', () => {
    const options = { rateLimit: 1, taskQueue: ' ', store: 'ftp:x', policy: { maxCredits: 1 }, maxResultBytes: 0 };
    const said = wrongAtOnce(() => settingsOf(options as never, {})).split('\n');
    const named = [
      'rateLimit: no such option',
      'taskQueue: is empty',
      'the option "policy"',
      'store: ',
      'maxResultBytes: ',
    ];
    expect(said).toHaveLength(named.length);
    for (const start of named) expect(said.some((line) => line.startsWith(start))).toBe(true);
  });

  test('a Worker without a key and without a usable store is told both', async () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'rivya-')), 'a-file');
    writeFileSync(file, '');
    const starts = checkWorkerSettings(readSettings({ RIVYA_STORE: `file:${file}/below` }));
    await expect(starts).rejects.toThrow(/^RIVYA_API_KEY: .*\nRIVYA_STORE: .*cannot be written/);
  });

  test('the same problem of two entries is told once', () => {
    const said = wrongAtOnce(() => readSettings({ RIVYA_REFERENCE_ROOTS: 'a,b', RIVYA_UI_URL: 'x' }));
    expect(said.split('\n')).toHaveLength(2);
  });

  test('two keys are one too many', () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'rivya-')), 'key');
    writeFileSync(file, 'rvya_sk_b\n');
    expect(() => readSettings({ RIVYA_API_KEY: 'rvya_sk_a', RIVYA_API_KEY_FILE: file })).toThrow('only one of');
  });

  test('a Worker for the API without a key, or with a store that cannot be written, does not start', async () => {
    await expect(checkWorkerSettings(readSettings({}))).rejects.toThrow('RIVYA_API_KEY');
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'rivya-')), 'a-file');
    writeFileSync(file, '');
    const settings = readSettings({ RIVYA_WORKER_ROLES: 'results', RIVYA_STORE: `file:${file}/below` });
    await expect(checkWorkerSettings(settings)).rejects.toThrow(/RIVYA_STORE: .*cannot be written/);
  });
});

describe('a variable that is named like a setting and is none', () => {
  test.each([
    ['RIVYA_RATE_LIMIT', 'RIVYA_RATE_LIMIT_PER_MINUTE'],
    ['RIVYA_API_KEYFILE', 'RIVYA_API_KEY_FILE'],
    ['RIVYA_TASKQUEUE', 'RIVYA_TASK_QUEUE'],
    ['RIVYA_STROE', 'RIVYA_STORE'],
  ])('%s: %s is meant', (name, meant) => {
    const warning = `Warning: ${name} is no setting, so it has no effect. Did you mean ${meant}?`;
    expect(unknownSettings({ [name]: 'x', RIVYA_STORE: 'file:/a' })).toEqual([warning]);
  });

  test('has no nearest one, or is empty, or is a setting, also one that is read elsewhere', () => {
    expect(unknownSettings({ RIVYA_WEATHER: 'x' })).toEqual([
      'Warning: RIVYA_WEATHER is no setting, so it has no effect.',
    ]);
    const fine = Object.keys(Environment.shape).map((name) => [name, 'x']);
    expect(unknownSettings({ ...Object.fromEntries(fine), RIVYA_DEBUG: '1', RIVYA_STROE: '', PATH: '/' })).toEqual([]);
  });

  test('in your own process it is a warning of Node, once', async () => {
    const seen: string[] = [];
    const see = ({ message }: Error): void => void seen.push(message);
    process.on('warning', see);
    for (let n = 0; n < 2; n++) settingsOf({}, { RIVYA_STROE: 'file:/a' });
    // A warning is emitted in the next tick.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', see);
    expect(seen).toEqual(['RIVYA_STROE is no setting, so it has no effect. Did you mean RIVYA_STORE?']);
  });
});

test('the defaults are the documented ones, and an empty variable counts as not set', () => {
  expect(readSettings({ RIVYA_BASE_URL: '', RIVYA_STORE: '' })).toMatchObject({
    keys: null,
    baseUrl: 'https://rivya.ai',
    rateLimitPerMinute: 60,
    taskQueue: 'rivya',
    roles: new Set(['workflows', 'results', 'api']),
    store: null,
  });
});

test('options in code win over the variables of the same meaning, also where they say none', () => {
  const environment = {
    RIVYA_TRUSTED_RESULT_HOSTS: 'media.example',
    RIVYA_MAX_RESULT_BYTES: '5',
    RIVYA_STORE: 'file:/a',
  };
  const options = {
    trustedResultHosts: [],
    referenceRoots: ['/in', '/more'],
    sidecarPrompts: 'digest',
    store: null,
  } as const;
  expect(settingsOf(options, environment)).toMatchObject({
    trustedResultHosts: new Set(),
    maxResultBytes: 5,
    referenceRoots: ['/in', '/more'],
    sidecarPrompts: 'digest',
    store: null,
  });
});

test.each([60, 600, 20, 10, 1])('a limit of %i calls a minute keeps any 60 s below it, burst included', (perMinute) => {
  const rate = activitiesPerSecond(perMinute);
  // Four partitions, each with one second of burst.
  if (perMinute >= 20) expect((60 + 1) * rate + 4).toBeLessThanOrEqual(perMinute + 1e-9);
  else expect(rate).toBe(perMinute / 120);
});
