/** The rules of a spending policy: read from a file or an option, and checked. `src/policy` judges by them. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { canonical, type SpendingPolicy } from './policy/index.js';

const place = z
  .string()
  .refine(
    (text) => canonical(text) !== null,
    'must be an absolute path, or an address such as https://cdn.example/, s3://bucket/prefix or file:/data, without "..", user or white space',
  )
  // A rule that never matches would pass for one that does.
  .refine(
    (text) => !text.includes('*'),
    'has a "*", which stands for nothing here: a rule covers all that lies below it',
  );

const Rules = z.strictObject({
  models: z.array(z.string().min(1, 'is empty')).optional(),
  maxCreditsPerGeneration: z.number().nonnegative().optional(),
  stores: z.array(place).optional(),
  references: z.array(place).optional(),
});

/** The rules of a spending policy as a person writes them; what is left out is allowed. */
export type SpendingRules = z.input<typeof Rules>;

/** @throws Error that names each wrong rule. An unknown one is wrong too: a misspelt rule would not hold. */
export function parsePolicy(rules: unknown, source: string): SpendingPolicy {
  const parsed = Rules.safeParse(rules);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the policy'}: ${message}`);
    throw new Error(`${source}: ${problems.join('; ')}`);
  }
  const { models = null, maxCreditsPerGeneration = null, stores = null, references = null } = parsed.data;
  return { source, models, maxCreditsPerGeneration, stores, references };
}

/** The text of a file that a setting names. @param named - The name of the file in the message of the error. */
export function readSettingFile(file: string, named = file): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`the file ${named} cannot be read`, { cause: error });
  }
}

/** @throws Error that names the file and what is wrong with it. */
export function readPolicyFile(file: string): SpendingPolicy {
  const text = readSettingFile(file);
  let rules: unknown;
  try {
    rules = JSON.parse(text);
  } catch (error) {
    throw new Error(`the file ${file} is not JSON (${(error as Error).message})`, { cause: error });
  }
  return parsePolicy(rules, `the file ${file}`);
}
