/** The signal by which Ctrl-C stops what a command does side by side. */
import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { interruption } from '../../src/cli/terminal.js';
import { copyFile } from '../../src/storage/copy.js';
import { FileStore } from '../../src/storage/index.js';

test('copies that all listen to it cause no warning of a leak', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'rivya-copies-'));
  const file = path.join(folder, '1.png');
  writeFileSync(file, 'bytes');
  const source = { uri: pathToFileURL(file).href, sha256: createHash('sha256').update('bytes').digest('hex') };
  const warnings: Error[] = [];
  const onWarning = (warning: Error): number => warnings.push(warning);
  process.on('warning', onWarning);
  const [store, interrupted] = [new FileStore(`file:${folder}`), interruption()];
  const copies = Array.from({ length: 12 }, (_, n) =>
    copyFile(store, source, path.join(folder, 'here', `${n}.png`), interrupted),
  );
  expect(new Set(await Promise.all(copies))).toEqual(new Set(['copied']));
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});
