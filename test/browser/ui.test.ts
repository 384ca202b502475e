/**
 * The Temporal UI as an operator meets it, in a real browser: it finds what is held, says what to do also while no Worker
 * runs, and lets it go on. Run by scripts/test-browser.sh, which names the browser.
 */
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { chromium, type Browser, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { accountWorkflowId, type GenerateMediaInput } from '../../src/contract/index.js';
import { readSettings } from '../../src/config.js';
import { startDevServer } from '../../src/temporal/embedded/server.js';
import { createTestEnvironment, type EmulatorEnvironment } from '../../src/testing/environment.js';
import { startWorkers } from '../../src/worker/workers.js';
import { runCommand } from '../cli/command.js';
import { quietRuntime } from '../support/harness.js';
import { until } from '../support/until.js';

const ACCOUNT = accountWorkflowId('rivya');
const ADD_CREDITS = 'Add credits to the account, then resume.';
const IDS = [
  'poster-fox',
  'poster-owl',
  'poster-heron',
  'logo',
  'poster-cat',
  'poster-dog',
  'trailer',
  'logo-old',
  'misspelt',
  ACCOUNT,
];

const ends: (() => Promise<unknown>)[] = [];
let environment: EmulatorEnvironment;
let startAgain: () => Promise<void>;
let stopAll: () => Promise<void>;
let browser: Browser;
let ui: string;
let views: Record<string, string>;

beforeAll(async () => {
  quietRuntime();
  const executablePath = process.env['CHROMIUM'];
  if (executablePath === undefined)
    throw new Error('CHROMIUM is not set: start these tests with scripts/test-browser.sh');
  browser = await chromium.launch({ executablePath });
  ends.push(() => browser.close());
  const server = await startDevServer({ log: () => undefined, port: 0, uiPort: 0 });
  ends.push(() => server.stop());
  const { address } = server;
  ui = `${server.uiUrl}/namespaces/default/workflows`;
  const client = new Client({ connection: await Connection.connect({ address }) });
  ends.push(() => client.connection.close());
  const nativeConnection = await NativeConnection.connect({ address });
  ends.push(() => nativeConnection.close());
  environment = await createTestEnvironment({
    environment: { client, nativeConnection, address },
    workflowBundle: { codePath: inject('bundle') },
    emulator: { durations: { image: 800, video: 3_600_000 } },
    workers: false,
  });
  // Those of an environment for tests run without the account.
  const start = () =>
    startWorkers(readSettings(environment.env), {
      connection: nativeConnection,
      namespace: 'default',
      workflows: { workflowBundle: { codePath: inject('bundle') } },
    });
  let workers = await start();
  startAgain = async () => void (workers = await start());
  stopAll = () => workers.stop();
  ends.push(() => stopAll());
  ends.push(() => environment.dispose());
  await startAll();
  const env = { ...environment.env, RIVYA_UI_URL: server.uiUrl! };
  const setup = await runCommand(['setup', '--json'], { env, cwd: tmpdir() });
  ({ views } = JSON.parse(setup.stdout) as { views: Record<string, string> });
});

afterAll(async () => {
  for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
});

let page: Page;
beforeEach(async () => {
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  // Far below the limit of a test, so that a failure says what was waited for.
  page.setDefaultTimeout(30_000);
});
afterEach(() => page.close());

/** Four that are held, and beside them one that runs, one that was held and is closed, and three that have ended by themselves. */
async function startAll(): Promise<void> {
  const { emulator, generations } = environment;
  const start = (workflowId: string, input: Partial<GenerateMediaInput> = {}) =>
    generations.start({ model: 'z-image', prompt: workflowId, ...input }, { workflowId });
  emulator.setFaults([
    { on: 'create', prompt: 'poster-heron', do: { kind: 'dropAfter' } },
    { on: 'create', prompt: 'poster-dog', do: { kind: 'fail' } },
    { on: 'create', prompt: 'misspelt', do: { kind: 'error', code: 'validation_failed' } },
    { on: 'create', prompt: 'logo-old', do: { kind: 'dropAfter' } },
  ]);
  const whenHeld = (id: string): Promise<void> =>
    until(async () => (await generations.handle(id).state())?.phase === 'held');
  const ended = [await start('poster-cat'), await start('poster-dog'), await start('misspelt')];
  await Promise.allSettled(ended.map((handle) => handle.result()));
  await start('trailer', { model: 'veo3-1-lite' });
  await until(async () => (await generations.handle('trailer').state())?.taskId != null);
  const unanswered = { options: { idempotencyWindow: '1s' } } as const;
  await start('logo-old', unanswered);
  await whenHeld('logo-old');
  await environment.client.workflow.getHandle('logo-old').terminate();
  await start('poster-heron', unanswered);
  await whenHeld('poster-heron');
  // The account holds all that comes after the first refusal.
  await emulator.setCredits(undefined, 0);
  await start('logo');
  await start('poster-fox', { prompt: 'A red fox in fresh snow' });
  await start('poster-owl', { prompt: 'An owl at dusk' });
  for (const id of ['logo', 'poster-fox', 'poster-owl']) await whenHeld(id);
}

/** The Workflow IDs that the list shows, once it says that it has loaded. */
async function listed(): Promise<string[]> {
  await page
    .getByRole('heading', { level: 1 })
    .filter({ hasText: /\d+\s+Workflows?/ })
    .waitFor();
  const links = await page.getByRole('table', { name: 'Workflows' }).getByRole('link').allInnerTexts();
  return IDS.filter((id) => links.includes(id));
}

async function openTab(workflowId: string, name: string): Promise<void> {
  await page.goto(`${ui}/${workflowId}`);
  await page.getByRole('tab', { name }).click();
}

/** A dialog of "More Actions". */
async function openDialog(workflowId: string, name: string): Promise<Locator> {
  await page.goto(`${ui}/${workflowId}`);
  await page.getByRole('button', { name: 'More Actions' }).click();
  await page.getByRole('menuitem', { name }).click();
  return page.getByRole('dialog', { name });
}

/** Makes a picture for the documentation, where that is asked for. */
async function picture(name: string): Promise<void> {
  if (!process.env['RIVYA_SCREENSHOTS']) return;
  await page.screenshot({
    path: fileURLToPath(new URL(`../../docs/ui-${name}.png`, import.meta.url)),
    animations: 'disabled',
  });
}

/** How many tasks were paid for all prompts of these words. */
async function paidTasks(prompt: string): Promise<number> {
  const { tasks } = await environment.emulator.ledger();
  return Object.values(tasks).filter((task) => task.prompt === prompt).length;
}

async function addCredits(): Promise<void> {
  await environment.emulator.setCredits(undefined, 100);
}

async function withoutWorkers(act: () => Promise<void>): Promise<void> {
  await stopAll();
  try {
    await act();
  } finally {
    await startAgain();
  }
}

test.each([
  ['rivya held', ['poster-fox', 'poster-owl', 'poster-heron', 'logo']],
  ['rivya held by credits', ['poster-fox', 'poster-owl', 'logo']],
  ['rivya held by the key', []],
  ['rivya held by a stop', []],
  ['rivya held by an unanswered submit', ['poster-heron']],
  ['rivya held by a result', []],
  ['rivya failed with a paid task', ['poster-dog']],
  ['rivya failing Workflow Tasks', []],
  ['rivya batch', []],
  ['rivya account', [ACCOUNT]],
])('the link "%s" of setup shows exactly those, and the UI keeps it as a view', async (name, ids) => {
  await page.goto(views[name]!);
  await expect.poll(listed, { timeout: 180_000 }).toEqual(ids);
  await page.getByRole('button', { name, exact: true }).waitFor();
});

test('the list shows the hold and the model of each in columns of its own', async () => {
  await page.goto(views['rivya held']!);
  await expect.poll(listed, { timeout: 180_000 }).toHaveLength(4);
  await page.getByRole('button', { name: 'Configure Columns' }).click();
  for (const column of ['Run ID', 'Type', 'End'])
    await page.getByRole('button', { name: `Remove ${column} column` }).click();
  for (const column of ['RivyaStatus', 'RivyaModel'])
    await page.getByRole('button', { name: `Add ${column} column` }).click();
  await page.getByRole('button', { name: 'Close Workflows Table configuration' }).click();
  const row = page.getByRole('row').filter({ hasText: 'poster-fox' });
  await row.getByText('held:insufficient_credits').waitFor();
  await row.getByText('z-image').waitFor();
  await picture('held');
});

test('the page of a held one says in sentences what to do', async () => {
  await openTab('poster-fox', 'User Metadata');
  // The UI renders the Markdown in a frame, after that of the summary.
  const details = page.locator('iframe').last().contentFrame();
  await details.getByText(`What to do: ${ADD_CREDITS}`).waitFor();
  expect(await details.locator('body').innerText()).toContain('This request made no task and cost nothing.');
  await picture('what-to-do');
});

test('the page of the account says what holds all, how many, and what to do', async () => {
  await environment.client.workflow.getHandle(ACCOUNT).executeUpdate('refresh');
  await openTab(encodeURIComponent(ACCOUNT), 'User Metadata');
  const details = page.locator('iframe').last().contentFrame();
  await details.getByText('insufficient_credits').first().waitFor();
  expect(await details.locator('body').innerText()).toMatch(/Add credits to the account/);
  await picture('account');
});

test('with no Worker the page of a held one still says what to do', () =>
  withoutWorkers(async () => {
    const memo = page.getByRole('textbox', { name: 'Memo' });
    await openTab('poster-fox', 'Memo');
    await memo.getByText(`"${ADD_CREDITS}"`).waitFor();
    expect(await memo.innerText()).toContain('This request made no task and cost nothing.');
    await openTab('poster-heron', 'Memo');
    await memo.getByText('Look for it in the Rivya Studio.').waitFor();
    await openTab('poster-heron', 'Search Attributes');
    await page.getByText('held:SubmitUnresolved').waitFor();
  }));

test('the Signal "resume" from the UI, sent while no Worker runs, lets it go on once one does: one paid task', async () => {
  await withoutWorkers(async () => {
    await addCredits();
    const dialog = await openDialog('poster-owl', 'Send a Signal');
    await dialog.getByRole('textbox').first().fill('resume');
    await dialog.getByRole('button', { name: 'Submit' }).click();
    await dialog.waitFor({ state: 'hidden' });
    expect(await paidTasks('An owl at dusk')).toBe(0);
  });
  // The account asks once a minute whether there are credits again.
  await page.getByText('Completed', { exact: true }).first().waitFor({ timeout: 180_000 });
  expect(await paidTasks('An owl at dusk')).toBe(1);
});

test('the Update "resume" from the UI, with the task that was found, lets an unanswered submit go on: one paid task', async () => {
  const { tasks } = await environment.emulator.ledger();
  const [taskId] = Object.keys(tasks).filter((id) => tasks[id]?.prompt === 'poster-heron');
  const dialog = await openDialog('poster-heron', 'Send an Update');
  await dialog.getByRole('button', { name: 'Select an Update' }).click();
  await page.getByRole('option', { name: 'resume' }).click();
  await picture('resume');
  await dialog.getByRole('textbox').last().fill(JSON.stringify({ taskId }));
  await dialog.getByRole('button', { name: 'Submit' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await page.getByText('Completed', { exact: true }).first().waitFor();
  expect(await paidTasks('poster-heron')).toBe(1);
});
