import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ModelInfo } from '../../src/api/index.js';
import { BatchInputError } from '../../src/batch/input/problems.js';
import { readBatchInput, type BatchInputOptions } from '../../src/batch/input/read.js';
import type { BatchItem } from '../../src/contract/batch.js';

export const OPTIONS: BatchInputOptions = { batchId: 'spring', models: null, api: 'emulator' };

export async function inputFile(content: string | Uint8Array, name = 'in.csv'): Promise<string> {
  const file = path.join(await mkdtemp(path.join(tmpdir(), 'batch-input-')), name);
  await writeFile(file, content);
  return file;
}

export async function all(source: () => AsyncIterable<BatchItem>): Promise<BatchItem[]> {
  const items: BatchItem[] = [];
  for await (const item of source()) items.push(item);
  return items;
}

export async function itemsOf(content: string | Uint8Array, more: Partial<BatchInputOptions> = {}) {
  return all((await readBatchInput(await inputFile(content), { ...OPTIONS, ...more })).source);
}

/** The problems of an input as `line: problem`. */
export async function problemsOf(content: string | Uint8Array, more: Partial<BatchInputOptions> = {}) {
  const error = await readBatchInput(await inputFile(content), { ...OPTIONS, ...more }).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof BatchInputError)) throw new Error(`No BatchInputError: ${String(error)}`);
  return error.problems.map(({ line, problem }) => `${line}: ${problem}`);
}

export function model(id: string, more: Partial<ModelInfo> = {}): ModelInfo {
  return {
    id,
    displayName: null,
    category: 'image',
    kind: 'image',
    baseCredits: 1,
    billingType: 'FIXED',
    maxPromptLength: null,
    supportedModes: [],
    apiStatus: 'available',
    apiInputStatus: null,
    supportedApiInputs: [],
    referenceMedia: null,
    params: [],
    ...more,
  };
}
