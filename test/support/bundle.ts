import { cp, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A change of one file of the Workflow code: the first text becomes the second. */
export type Change = readonly [file: string, from: string, to: string];

/** Bundles a copy of the Workflow code with changes, as a later version would have them. Returns the file. */
export async function bundleWith(changes: readonly Change[]): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-version-'));
  for (const folder of ['workflows', 'src/contract', 'src/policy', 'package.json']) {
    await cp(path.join(ROOT, folder), path.join(directory, folder), { recursive: true });
  }
  await symlink(path.join(ROOT, 'node_modules'), path.join(directory, 'node_modules'));
  for (const [file, from, to] of changes) {
    const target = path.join(directory, file);
    const text = await readFile(target, 'utf8');
    if (!text.includes(from)) throw new Error(`${file} has no "${from}" to change`);
    await writeFile(target, text.replace(from, to));
  }
  const workflowsPath = path.join(directory, 'workflows', 'bundle.ts');
  const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('WARN') });
  const file = path.join(directory, 'bundle.js');
  await writeFile(file, code);
  return file;
}
