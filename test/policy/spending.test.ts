/** What a spending policy lets through. An input that gets around a rule spends somebody's key. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readSettings, SettingsError } from '../../src/config.js';
import { deniedBy, type SpendingPolicy } from '../../src/policy/index.js';
import { parsePolicy, readPolicyFile } from '../../src/spending-policy.js';

const example = readPolicyFile(fileURLToPath(new URL('../../docs/policy.example.json', import.meta.url)));
const policy = (rules: Partial<SpendingPolicy>): SpendingPolicy => ({ ...parsePolicy({}, 'test'), ...rules });

describe('models', () => {
  test.each(['z-image', 'veo', 'veo3-1-lite'])('%s is allowed by the example', (model) =>
    expect(deniedBy(example, { model })).toBeNull(),
  );
  test.each(['sora-2', 'z-image-pro', 'Z-IMAGE', 'my-veo', '', 'z-image\nveo', 'zximage'])('%j is not', (model) =>
    expect(deniedBy(example, { model })).toMatchObject({
      rule: 'models',
      why: expect.stringContaining('z-image, veo*'),
    }),
  );
  test('no model is allowed by an empty list, every one without a rule', () => {
    expect(deniedBy(policy({ models: [] }), { model: 'z-image' })).toMatchObject({ rule: 'models' });
    expect(deniedBy(policy({}), { model: 'z-image', basePrice: null })).toBeNull();
  });
  test('a dot or a bracket in a rule stands for itself', () => {
    expect(deniedBy(policy({ models: ['v1.5[x]*'] }), { model: 'v1.5[x]-turbo' })).toBeNull();
    expect(deniedBy(policy({ models: ['v1.5*'] }), { model: 'v1x5' })).not.toBeNull();
  });
});

describe('credits of a generation', () => {
  test.each([
    [50, null],
    [50.5, 'starts at 50.5'],
    [null, 'names no price'],
  ])('a starting price of %j', (basePrice, why) => {
    const denial = deniedBy(example, { model: 'z-image', basePrice });
    if (why === null) expect(denial).toBeNull();
    else expect(denial).toMatchObject({ rule: 'maxCreditsPerGeneration', why: expect.stringContaining(why) });
  });
});

describe('places', () => {
  test.each([
    '/data/in',
    '/data/in/a.png',
    '/data//in/a b.png',
    'https://cdn.example/a.png?sig=1',
    'HTTPS://CDN.example:443/a.png',
    's3://acme-media/in/a.png',
  ])('reference %s is allowed', (reference) => expect(deniedBy(example, { references: [reference] })).toBeNull());

  test.each([
    '/data/input/a.png',
    '/data/in/../secret',
    '/data/in/./../secret',
    '/data',
    'data/in/a.png',
    'file:/data/in/a.png',
    'https://cdn.example.evil.com/a.png',
    'https://cdn.example@evil.com/a.png',
    'https://user@cdn.example/a.png',
    'https://evil.com/https://cdn.example/',
    'https:\\\\cdn.example/a.png',
    'http://cdn.example/a.png',
    'https://cdn.example:8443/a.png',
    's3://acme-media/in/../rivya/a.png',
    's3://acme-media/in/..%2frivya/a.png',
    's3://acme-media-2/in/a.png',
    ' /data/in/a.png',
    '/data/in/a\0.png',
    '',
  ])('reference %j is not', (reference) =>
    expect(deniedBy(example, { references: ['/data/in/ok.png', reference] })).toMatchObject({ rule: 'references' }),
  );

  test('an address is told without its query, which may carry a signature', () => {
    const denial = deniedBy(example, { references: ['https://evil.com/a.png?sig=secret#x'] });
    expect(denial?.why).toContain('"https://evil.com/a.png"');
    expect(denial?.why).not.toContain('secret');
  });

  test.each([
    ['s3://acme-media/rivya', true],
    ['file:///data/rivya/below', true],
    ['file:/data/rivya2', false],
    ['s3://acme-media/other', false],
  ])('store %s: %s', (store, allowed) => expect(deniedBy(example, { store }) === null).toBe(allowed));
});

describe('a policy that says something else than it seems to is refused at start, by name', () => {
  const fileOf = (text: string): string => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'rivya-policy-')), 'policy.json');
    writeFileSync(file, text);
    return file;
  };

  test.each([
    ['{"models": ["z-image"', 'not JSON'],
    ['[]', 'object'],
    ['{"model": ["z-image"]}', 'model'],
    ['{"models": "z-image"}', 'models'],
    ['{"models": [""]}', 'models.0'],
    ['{"maxCreditsPerGeneration": "50"}', 'maxCreditsPerGeneration'],
    ['{"maxCreditsPerGeneration": -1}', 'maxCreditsPerGeneration'],
    ['{"references": ["data/in"]}', 'references.0'],
    ['{"references": ["/data/../in"]}', 'references.0'],
    ['{"stores": ["file:out"]}', 'stores.0'],
    ['{"references": ["https://*.example/"]}', 'references.0'],
  ])('%s', (text, named) => {
    const file = fileOf(text);
    const read = (): unknown => readSettings({ RIVYA_POLICY_FILE: file });
    expect(read).toThrow(SettingsError);
    expect(read).toThrow(/^RIVYA_POLICY_FILE: /);
    expect(read).toThrow(named);
    expect(read).toThrow(file);
  });

  test('a file that is not there', () => {
    expect(() => readSettings({ RIVYA_POLICY_FILE: '/does/not/exist' })).toThrow('RIVYA_POLICY_FILE: the file /does');
  });
});
