/** The commands of a batch in messages: as they work when they are typed. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { batchAdvice, commandOf, reportCommand } from '../../src/cli/batch-commands.js';

const usual = { store: { address: 'file:./output' } };
const other = { store: { address: 's3://bucket/media' } };

beforeEach(() => void vi.stubEnv('RIVYA_STORE', undefined));
afterEach(() => void vi.unstubAllEnvs());

test('name the store where it is not the one that a command looks into by itself', () => {
  expect(commandOf('resume', usual, 'in')).toBe('rivya-temporal batch resume in');
  expect(commandOf('resume', other, 'in')).toBe('rivya-temporal batch resume in --store s3://bucket/media');
  expect(reportCommand('in', usual)).toBe('rivya-temporal batch report in --open');
  vi.stubEnv('RIVYA_STORE', 's3://bucket/media');
  expect(commandOf('resume', other, 'in')).toBe('rivya-temporal batch resume in');
  expect(commandOf('resume', usual, 'in')).toBe('rivya-temporal batch resume in --store file:./output');
});

test('what a Worker says of a batch names the store of the command that shows it, once, and for this batch alone', () => {
  const said = 'Allow more: rivya-temporal batch resume in.1 --max-credits 9. See rivya-temporal batch status in.1.';
  const shown = batchAdvice(said, other, 'in.1').replaceAll('npx ', '');
  expect(shown).toBe(
    'Allow more: rivya-temporal batch resume in.1 --store s3://bucket/media --max-credits 9. See rivya-temporal batch status in.1 --store s3://bucket/media.',
  );
  expect(batchAdvice(shown, other, 'in.1').replaceAll('npx ', '')).toBe(shown);
  expect(batchAdvice('rivya-temporal batch resume in-2', other, 'in')).not.toContain('--store');
});
