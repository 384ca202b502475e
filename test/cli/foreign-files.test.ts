/** Files of a Worker on another machine: a generation that has succeeded must not end as an error of the command. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { openOutput } from '../../src/cli/copies.js';
import { report } from '../../src/cli/follow.js';
import { readSettings } from '../../src/config.js';
import type { GenerationResult } from '../../src/contract/index.js';

const about = {
  bytes: 1_000,
  sha256: 'a'.repeat(64),
  contentType: 'image/png',
  sourceUrl: 'https://cdn.example/1.png',
};
const resultWith = (uri: string): GenerationResult => ({
  status: 'succeeded',
  taskId: 'task_1',
  model: 'z-image',
  idempotencyKey: 'k',
  reservedCredits: 1,
  finalCredits: 1,
  urls: ['https://cdn.example/1.png'],
  primaryUrl: 'https://cdn.example/1.png',
  files: [{ uri, ...about }],
  attempts: 1,
  statusChecks: 1,
  reused: false,
  simulated: false,
  createdAt: null,
  updatedAt: null,
});

test.each(['file://render-7/data/fox/1.png', 'file:///data/a%2Fb.png'])(
  '%s is printed as it is, and the command ends with status 0',
  (uri) => {
    let printed = '';
    const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    try {
      expect(report({ kind: 'result', result: resultWith(uri) }, 'fox', null, false)).toBe(0);
    } finally {
      write.mockRestore();
    }
    expect(printed).toContain(`${uri} (1.0 kB)`);
  },
);

test('--output says that such a file is on another machine', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'rivya-foreign-'));
  const output = await openOutput(path.join(folder, 'copies'), readSettings({ RIVYA_STORE: `file:${folder}` }));
  const uri = 'file://render-7/data/fox/1.png';
  const copies = await output!.copy('fox', resultWith(uri), new AbortController().signal);
  expect(copies).toMatchObject([{ uri, problem: 'it is a file of another machine (render-7): copy it from there' }]);
});
