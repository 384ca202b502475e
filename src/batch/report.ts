/**
 * The report of a batch: one HTML page that loads nothing but results. Every text that comes from outside is escaped, and the
 * page forbids the browser all scripts but its own.
 */
import { createHash } from 'node:crypto';
import type { BatchManifest, BatchOutcome } from '../contract/batch.js';
import { withoutEnd, type StoredFile } from '../contract/index.js';
import { formatDuration } from '../policy/index.js';
import { chart, clock } from './chart.js';
import type { BatchHead } from './files.js';
import { SCRIPT, STYLE } from './report-style.js';
import { creditsOf, type BatchRow } from './results.js';
import { ENDS, Tally } from './tally.js';

/** Items that the gallery shows. Each takes some 2 kB of the page, and a browser shows as many as this with ease. */
export const GALLERY_ITEMS = 10_000;
// The whole prompt is in results.jsonl.
const PROMPT_LENGTH = 2_000;

export interface ReportAbout {
  readonly manifest: BatchManifest;
  readonly balance: BatchHead['balance'];
  /** Address of a stored file in the page, or null where a browser cannot open the file. */
  readonly hrefOf: (file: StoredFile) => string | null;
  /** Address of a Workflow in the Temporal UI, or null where none is known. */
  readonly linkOf: (workflowId: string) => string | null;
  /** Addresses of the tables in the page, by name; empty where they are not beside it. */
  readonly tables: Readonly<Record<string, string>>;
  /** The command that tries items of the batch again. */
  readonly retry: string;
  readonly madeAt: Date;
  /** Default `GALLERY_ITEMS`. */
  readonly galleryItems?: number;
}

/** The page in pieces. All rows are read before the first piece. */
export async function* reportOf(rows: AsyncIterable<BatchRow>, about: ReportAbout): AsyncGenerator<string> {
  const tally = new Tally(about.retry);
  const cards: string[] = [];
  const { galleryItems = GALLERY_ITEMS } = about;
  for await (const row of rows) {
    tally.add(row);
    if (row.outcome !== null && row.isGone !== true && cards.length < galleryItems)
      cards.push(card(row, row.outcome, about));
  }
  yield head(tally, about);
  yield moneySection(tally, about);
  yield timeSection(tally);
  yield failureSection(tally);
  yield galleryHead(tally, cards.length);
  yield* cards;
  yield `</div></section></main><script>${SCRIPT}</script></body></html>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** A text as it may stand between tags, and in an attribute in quotes. */
export function escapeHtml(text: string): string {
  // Control and bidirectional characters could show a text as another one.
  const shown = text.replace(/(?![\n\t])\p{Cc}|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '\ufffd');
  return shown.replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);
}

const h = (value: string | number | null): string =>
  value === null ? '–' : typeof value === 'number' ? number(value) : escapeHtml(value);

function number(n: number): string {
  return n.toLocaleString('en-US', { maximumFractionDigits: 2 });
}

function bytesText(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = n < 1 ? 0 : Math.min(Math.floor(Math.log10(n) / 3), units.length - 1);
  return `${number(Number((n / 1_000 ** power).toFixed(1)))} ${units[power]}`;
}

/** A table of texts that are escaped already; columns whose head begins with `#` hold numbers. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const kind = heads.map((name) => (name.startsWith('#') ? ' class="n"' : ''));
  const top = heads.map((name, i) => `<th${kind[i]}>${name.replace('#', '')}</th>`).join('');
  const lines = rows.map((row) => `<tr>${row.map((cell, i) => `<td${kind[i]}>${cell}</td>`).join('')}</tr>`);
  return `<div class="wide"><table><thead><tr>${top}</tr></thead><tbody>${lines.join('')}</tbody></table></div>`;
}

function head(tally: Tally, { manifest, madeAt, tables }: ReportAbout): string {
  const { counts, items } = tally;
  const hash = createHash('sha256').update(SCRIPT).digest('base64');
  // The places of results: beside the page, or links of the API.
  const places = "'self' file: https: http:";
  const rules = `default-src 'none'; img-src ${places}; media-src ${places}; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`;
  const name = h(manifest.batchId);
  const tile = (id: string, value: string, label: string, kind = ''): string =>
    `<div class="tile" id="${id}"><b class="${kind}">${value}</b>${label}</div>`;
  const links = Object.entries(tables).map(([text, href]) => `<a href="${h(href)}">${h(text)}</a>`);
  const only = tally.ended > 0 && tally.simulated === tally.ended;
  const simulated = only
    ? 'All of this was simulated: the emulator answered, nothing was paid, and the media is not real.'
    : tally.simulated > 0
      ? `${number(tally.simulated)} items were simulated: the emulator answered, and nothing was paid for them.`
      : '';
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${rules}"><meta name="referrer" content="no-referrer">
<title>${name}: ${number(counts.succeeded)} of ${number(items)} succeeded</title><style>${STYLE}</style></head><body><main>
<header><h1>${name}</h1><p class="dim">Batch at ${h(manifest.api)} · made ${clock(madeAt.getTime())} UTC${links.map((link) => ` · ${link}`).join('')}</p></header>
${simulated === '' ? '' : `<p class="banner" id="simulated">${simulated}</p>`}
<div class="tiles">${[
    tile('items', number(items), 'items'),
    tile('succeeded', number(counts.succeeded), 'succeeded', 'good'),
    tile('failed', number(counts.failed), 'failed', counts.failed > 0 ? 'bad' : ''),
    counts.cancelled > 0 ? tile('cancelled', number(counts.cancelled), 'cancelled', 'warn') : '',
    counts.skipped > 0 ? tile('skipped', number(counts.skipped), 'skipped') : '',
    tile('unfinished', number(counts.unfinished), 'not finished'),
    tile('credits', number(tally.credits), 'credits'),
    tile('files', number(tally.files), `files, ${bytesText(tally.bytes)}`),
  ].join('')}</div>`;
}

function moneySection(tally: Tally, { balance, manifest }: ReportAbout): string {
  const { credits, unpriced, models, charged, severalAttempts, gone, goneCredits } = tally;
  const estimates = new Map(manifest.classes.map(({ model, estimate }) => [model, estimate]));
  const each = [...models.values()].map(({ model, items, succeeded, credits: paid, priced }) => [
    `<code>${h(model)}</code>`,
    h(items),
    h(succeeded),
    h(paid),
    h(priced === 0 ? null : paid / priced),
    h(estimates.get(model) ?? null),
  ]);
  const unknown = unpriced === 0 ? '' : ` The price of ${number(unpriced)} more is not known.`;
  const again =
    severalAttempts === 0
      ? ''
      : ` Items with several attempts: ${number(severalAttempts)}; their earlier attempts cost ${number(tally.earlierCredits)} at most.`;
  const left =
    gone === 0
      ? ''
      : ` Paid items that are not in the input any more: ${number(gone)}; they cost ${number(goneCredits)} of these credits, and stand at the end of the tables.`;
  const rows = charged.map((one) => [
    `<code>${h(one.taskId)}</code>`,
    h(one.itemId),
    `<code>${h(one.model)}</code>`,
    h(one.credits),
    h(one.error?.code ?? null),
    h(one.endedAt),
    `<code>${h(one.idempotencyKey)}</code>`,
  ]);
  const total = charged.reduce((sum, one) => sum + one.credits, 0);
  const list =
    rows.length === 0
      ? ''
      : `<h2>Failed, and charged all the same</h2><p>${rows.length === 1 ? 'One task' : `${number(rows.length)} tasks`} failed and cost ${number(total)} credits. Show this list to Rivya's support and ask for them.</p><div id="charged">${table(['Task', 'Item', 'Model', '#Credits', 'Error', 'Ended', 'Idempotency key'], rows)}</div>`;
  return `<section id="money"><h2>Credits</h2><p id="balance">${balanceText(balance, credits)}${unknown}${again}${left}</p>
${table(['Model', '#Items', '#Succeeded', '#Credits', '#Each', '#Estimate'], each)}${list}</section>`;
}

/** What the account lost, and how much of it the records of this batch explain. */
function balanceText(balance: BatchHead['balance'], explained: number): string {
  const ours = `The records of this batch explain <b>${number(explained)}</b> credits`;
  if (balance === null) return `${ours}. The balance of the account was not read.`;
  const { before, last } = balance;
  const fell = before.credits - last.credits;
  const over = `from ${number(before.credits)} (${clock(Date.parse(before.at))}) to ${number(last.credits)} (${clock(Date.parse(last.at))} UTC)`;
  const rest = Math.round((fell - explained) * 100) / 100;
  const says =
    rest === 0
      ? 'Nothing is left over.'
      : rest > 0
        ? `<b class="warn">${number(rest)}</b> are left over: other work of the account, or items that have not ended yet.`
        : `The balance fell by ${number(-rest)} less: credits came in meanwhile, or are taken later.`;
  return `The balance of the account fell by <b>${number(fell)}</b> ${over}. ${ours}. ${says}`;
}

function timeSection({ firstStart, ends, durations }: Tally): string {
  if (ends.length === 0) return '';
  const end = ends.reduce((a, b) => Math.max(a, b), 0);
  const took = Math.max(end - firstStart, 1_000);
  const sorted = durations.toSorted((a, b) => a - b);
  const at = (share: number): number | null =>
    sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? null;
  const [median, slow] = [at(0.5), at(0.95)];
  const facts = [
    `${clock(firstStart)} to ${clock(end)} UTC: <b>${formatDuration(took)}</b>`,
    `${number(ends.length / (took / 60_000))} items a minute`,
    ...(median === null ? [] : [`half of the items took at most ${formatDuration(median)}`]),
    ...(slow === null ? [] : [`95 % at most ${formatDuration(slow)}`]),
  ];
  return `<section id="time"><h2>Time</h2><p>${facts.join(' · ')}</p>${chart(firstStart, ends)}</section>`;
}

function failureSection({ failures, counts }: Tally): string {
  if (failures.length === 0) return '';
  const rows = failures.map(({ code, items, credits, message, action }) => {
    return [`<code>${h(code)}</code>`, h(items), h(credits), h(withoutEnd(message, action)), h(action)];
  });
  return `<section id="failures"><h2>${number(counts.failed)} failed</h2>${table(['Error', '#Items', '#Credits', 'For example', 'What to do'], rows)}</section>`;
}

function galleryHead(tally: Tally, shown: number): string {
  const { ended } = tally;
  const choices = ENDS.filter((status) => tally.counts[status] > 0).map((status) => `<option>${status}</option>`);
  const rest =
    shown < ended
      ? `<p>These are the first ${number(shown)} of ${number(ended)} that ended; all of them are in results.csv and results.jsonl.</p>`
      : '';
  return `<section id="gallery"><h2>Results</h2>${rest}<div class="find"><input id="text" type="search" placeholder="Filter by text" aria-label="Filter by text"><select id="ended" aria-label="How it ended"><option value="">all</option>${choices.join('')}</select><span class="dim" id="shown">${number(shown)} of ${number(shown)}</span></div><div class="gallery">`;
}

function card({ item }: BatchRow, outcome: BatchOutcome, { hrefOf, linkOf }: ReportAbout): string {
  const { prompt = '', params = {} } = item.input;
  const cut = prompt.length > PROMPT_LENGTH ? `${prompt.slice(0, PROMPT_LENGTH)}…` : prompt;
  const link = linkOf(item.workflowId);
  const credits = creditsOf(outcome);
  const workflow = `<code>${h(item.workflowId)}</code>`;
  const facts: (readonly [string, string] | null)[] = [
    Object.keys(params).length === 0 ? null : ['params', `<code>${h(JSON.stringify(params))}</code>`],
    outcome.taskId === null ? null : ['task', `<code>${h(outcome.taskId)}</code>`],
    ['Workflow', link === null ? workflow : `<a href="${h(link)}">${workflow}</a>`],
    outcome.attempts > 1 ? ['attempts', h(outcome.attempts)] : null,
    ...outcome.files.map((file) => ['file', `<code>${h(file.uri)}</code>`] as const),
    outcome.error === null ? null : ['error', h(withoutEnd(outcome.error.message, outcome.error.action ?? ''))],
    ...Object.entries(item.carried).map(([name, value]) => [h(name), h(value)] as const),
  ];
  const list = facts.flatMap((fact) => (fact === null ? [] : [`<dt>${fact[0]}</dt><dd>${fact[1]}</dd>`]));
  const price = credits === null ? '' : ` · ${number(credits)} credit${credits === 1 ? '' : 's'}`;
  return `<article id="item-${h(item.id)}" data-ended="${outcome.status}">${media(outcome, cut, hrefOf)}<div class="text"><p title="${h(cut)}">${h(cut)}</p><small>${h(item.input.model)}${price}</small><details><summary>${h(item.id)}</summary><dl>${list.join('')}</dl></details></div></article>\n`;
}

/** The results of an item; where there is none, how it ended. */
function media(outcome: BatchOutcome, alt: string, hrefOf: ReportAbout['hrefOf']): string {
  const stored = outcome.files.map((file) => ({ href: hrefOf(file), type: file.contentType ?? '' }));
  const shown = stored.flatMap(({ href, type }) => (href === null ? [] : [element(href, type, alt)]));
  if (shown.length > 0) return shown.join('');
  const [url] = outcome.urls.filter((one) => /^https?:/i.test(one));
  if (outcome.status === 'succeeded') {
    const says =
      url === undefined ? 'in the store' : `<a href="${h(url)}" rel="noreferrer">link at Rivya</a> (it expires)`;
    return `<div class="media none"><span class="dim">${says}</span></div>`;
  }
  return `<div class="media none"><span>${outcome.status}<br><code>${h(outcome.error?.code ?? '')}</code></span></div>`;
}

function element(href: string, type: string, alt: string): string {
  const src = h(href);
  if (type.startsWith('video/')) return `<div class="media"><video controls preload="none" src="${src}"></video></div>`;
  if (type.startsWith('audio/'))
    return `<div class="media sound"><audio controls preload="none" src="${src}"></audio></div>`;
  if (!type.startsWith('image/')) return `<div class="media none"><a href="${src}">file</a></div>`;
  return `<a class="media" href="${src}"><img loading="lazy" decoding="async" src="${src}" alt="${h(alt)}"></a>`;
}
