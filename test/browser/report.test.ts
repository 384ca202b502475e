/** The report of a batch as a person opens it: from `file:`, in a real browser. Run by scripts/test-browser.sh. */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BatchOutcome } from '../../src/contract/batch.js';
import { drawPicture } from '../../src/emulator/picture.js';
import { madeBatch, type Made, type MadeItem } from '../batch/made.js';
import { runCommand } from '../cli/command.js';

const asset = (name: string): Buffer => readFileSync(new URL(`../../src/emulator/assets/${name}`, import.meta.url));
const EVIL = `A fox </p><script>document.title = 'owned'</script><img src=x onerror="document.title = 'owned'">`;
const START = Date.parse('2026-05-10T10:00:00.000Z');

let browser: Browser;
let page: Page;
/** What the page complained about: blocked scripts, broken links. */
let complaints: string[];

beforeAll(async () => {
  const executablePath = process.env['CHROMIUM'];
  if (executablePath === undefined)
    throw new Error('CHROMIUM is not set: start these tests with scripts/test-browser.sh');
  browser = await chromium.launch({ executablePath });
});
afterAll(() => browser?.close());
beforeEach(async () => {
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(30_000);
  complaints = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('requestfailed', (request) => complaints.push(request.url()));
});
afterEach(() => page.close());

async function opened(made: Made, args: readonly string[] = []): Promise<void> {
  const store = ['--store', `file:${made.directory}`];
  const { status, stdout, stderr } = await runCommand(['batch', 'report', 'spring', ...store, ...args, '--json'], {
    cwd: made.directory,
    env: { XDG_DATA_HOME: made.directory, RIVYA_UI_URL: 'http://127.0.0.1:8233' },
  });
  expect(status, stderr).toBe(0);
  const { report } = JSON.parse(stdout) as { report: string };
  await page.goto(report.startsWith('file:') ? report : pathToFileURL(report).href);
}

describe('a batch of everything', () => {
  let made: Made;
  beforeAll(async () => {
    const times = (n: number): Partial<BatchOutcome> => ({
      startedAt: new Date(START + n * 4_000).toISOString(),
      endedAt: new Date(START + n * 4_000 + 20_000 + n * n * 400).toISOString(),
    });
    const error = {
      code: 'GenerationFailed',
      message: 'The task failed: no faces, please.',
      action: 'Change the prompt.',
    };
    const subjects = ['red fox in fresh snow', 'heron at dawn', 'lighthouse in a storm', 'bowl of oranges'];
    const items = Array.from({ length: 40 }, (_, n): MadeItem => {
      const id = `item-${n + 1}`;
      const prompt = `A ${subjects[n % 4]}, variant ${n + 1}`;
      if (n % 10 === 7)
        return {
          id,
          input: { prompt },
          outcome: { ...times(n), status: 'failed', finalCredits: n === 7 ? 2 : 0, error },
        };
      if (n % 10 === 5) {
        const input = { model: 'sora-2', prompt, params: { n_frames: '10', aspect_ratio: 'landscape' } };
        return { id, input, results: { mp4: asset('simulated.mp4') }, outcome: { ...times(n), finalCredits: 30 } };
      }
      if (n % 10 === 9) {
        const input = { model: 'elevenlabs-sound-effect-v2', prompt };
        return { id, input, results: { mp3: asset('simulated.mp3') }, outcome: { ...times(n), finalCredits: 4 } };
      }
      if (n > 36) return { id, input: { prompt } };
      const words = n === 0 ? EVIL : prompt;
      const results = { png: drawPicture(words, 'z-image', {}) };
      return { id, input: { prompt: words }, carried: { sku: `SKU-${n}` }, results, outcome: times(n) };
    });
    made = await madeBatch(items, { columns: ['sku'] });
    const head = await made.files.head();
    const [before, last] = [
      { at: '2026-05-10T09:59:00.000Z', credits: 1_000 },
      { at: '2026-05-10T10:15:00.000Z', credits: 830 },
    ];
    await made.files.writeHead({ ...head!, balance: { before, last } });
  });

  test('shows totals, credits, time, failures with advice, and each result with what is known of it', async () => {
    await opened(made);
    expect(await page.locator('#items b, #succeeded b, #failed b, #unfinished b').allInnerTexts()).toEqual([
      '40',
      '35',
      '4',
      '1',
    ]);
    expect(await page.locator('#balance').innerText()).toMatch(/fell by 170 .* explain 165 credits\. 5 are left over/);
    expect(await page.locator('#charged').innerText()).toMatch(/task-item-8\s.*item-8\s.*2\s/);
    expect(await page.locator('#time svg rect').count()).toBeGreaterThan(5);
    expect(await page.locator('#failures').innerText()).toMatch(
      /GenerationFailed\s+4\s+2\s+The task failed: no faces, please\.\s+Change the prompt\./,
    );
    const card = page.locator('#item-item-6');
    await card.locator('summary').click();
    expect(await card.innerText()).toMatch(/sora-2 · 30 credits[^]*"n_frames":"10"[^]*task-item-6[^]*spring\/item-6/);
    expect(await card.getByRole('link', { name: 'spring/item-6' }).getAttribute('href')).toBe(
      'http://127.0.0.1:8233/namespaces/default/workflows/spring%2Fitem-6',
    );
    expect(complaints).toEqual([]);
  });

  test.each([
    ['beside the results', []],
    ['in another folder', ['-o', 'elsewhere/a report.html']],
  ])('images are shown, video and audio play, %s', async (_, args) => {
    await opened(made, args);
    const image = page.locator('#item-item-2 img');
    await image.scrollIntoViewIfNeeded();
    await expect
      .poll(() => image.evaluate((it) => (it as unknown as { naturalWidth: number }).naturalWidth))
      .toBeGreaterThan(0);
    for (const place of ['#item-item-6 video', '#item-item-10 audio']) {
      const time = await page.locator(place).evaluate(async (it) => {
        const media = it as unknown as { muted: boolean; duration: number; play(): Promise<void> };
        media.muted = true;
        await media.play();
        return media.duration;
      });
      expect(time).toBeGreaterThan(0);
    }
    expect(complaints).toEqual([]);
  });

  test('a prompt with a script is a text', async () => {
    await opened(made);
    expect(await page.locator('#item-item-1 .text p').innerText()).toBe(EVIL);
    expect(await page.title()).toBe('spring: 35 of 40 succeeded');
    expect(await page.locator('article img[src="x"], article script').count()).toBe(0);
  });

  test('the gallery can be filtered by text and by how an item ended', async () => {
    await opened(made);
    await page.getByLabel('How it ended').selectOption('failed');
    expect(await page.locator('article:visible').count()).toBe(4);
    await page.getByLabel('How it ended').selectOption('');
    await page.getByLabel('Filter by text').fill('heron sora-2');
    await page.locator('#shown', { hasText: '2 of 39' }).waitFor();
    expect(await page.locator('article:visible').count()).toBe(2);
    expect(complaints).toEqual([]);
  });
});

test('10,000 results: usable within seconds, and only what is in view is loaded', async () => {
  const png = drawPicture('one of many', 'z-image', {});
  const made = await madeBatch(
    Array.from({ length: 10_000 }, (_, n) => ({
      id: `n${n}`,
      results: n < 40 || n > 9_960 ? { png } : {},
      outcome: {},
    })),
  );
  const asked = new Set<string>();
  page.on('request', (request) => asked.add(request.url()));
  await opened(made);
  const begun = Date.now();
  await page.reload();
  await page.getByLabel('Filter by text').fill('n9999');
  await page.locator('#shown', { hasText: '1 of 10,000' }).waitFor();
  const took = Date.now() - begun;
  expect(took, 'milliseconds to load and to filter').toBeLessThan(20_000);
  await expect
    .poll(() =>
      page.locator('#item-n9999 img').evaluate((it) => (it as unknown as { naturalWidth: number }).naturalWidth),
    )
    .toBeGreaterThan(0);
  expect(asked.size).toBeLessThan(60);
});
