/** `generate --dry-run`: what a start would send, under which key and at which price. It starts and pays nothing. */
import { RivyaApiError } from '../api/errors.js';
import type { UploadResult } from '../contract/index.js';
import { askedOfList, idempotencyKey, overBudget, requestWith, type Generation } from '../policy/index.js';
import { listedProblem } from '../policy/listed.js';
import { targetOf } from '../temporal/connect.js';
import { advice } from './advice.js';
import { localSession, openApi } from './context.js';
import { STATUS } from './errors.js';
import { printFacts, printJson, quoted, say } from './output.js';
import type { Request } from './request.js';

/**
 * Needs no Temporal and no API key. The price is left out where the list of models cannot be had. The status is 2 where a
 * Worker would refuse the request.
 */
export async function dryRun({ generation, workflowId, isRandom }: Request, json: boolean): Promise<number> {
  const { namespace } = targetOf((await localSession())?.address);
  const { api, baseUrl } = await openApi();
  const { taskId, ownKey, model, maxAttempts, maxCredits } = generation;
  const body = taskId === null ? bodyOf(generation) : null;
  const key = ownKey ?? idempotencyKey({ use: 'generation', namespace, workflowId, number: 1 });
  const { price, refused, problem } = body === null ? NOT_ASKED : await askList(api, model, body);
  const stated = taskId === null ? maxCredits : null;
  const budget = stated === null ? null : overBudget({ model, attempt: 1, maxCredits: stated, basePrice: price });
  const tooDear = budget !== null && price !== null;
  const status = refused || tooDear ? STATUS.usage : STATUS.done;
  const notes = [
    'Nothing was started, sent or paid.',
    isRandom &&
      `The Workflow ID is random: each start has another one and is paid. Name it with --id ${quoted(workflowId)}, or give --id-from-input.`,
    body?.includes(UPLOAD) === true && 'References are uploaded before the submit, which costs nothing.',
    problem,
    budget && advice(budget),
  ].filter((note) => typeof note === 'string');

  const sent = body === null ? null : { url: `${api.baseUrl}/api/v1/generations`, idempotencyKey: key, body };
  if (json) {
    const money = { startingPrice: price, maxAttempts, maxCredits };
    printJson({ dryRun: true, namespace, workflowId, taskId, ...(sent ?? NOT_SENT), ...money, notes });
    return status;
  }
  const each = maxAttempts > 1 ? ` for each of ${maxAttempts} attempts at most` : '';
  printFacts(workflowId, [
    ['task', taskId === null ? null : `${taskId} is waited for; nothing is posted`],
    ['idempotency key', sent?.idempotencyKey],
    ['sent to', sent && `POST ${sent.url}`],
    ['body', sent?.body],
    ['starting price', price === null ? null : `${price} credit${price === 1 ? '' : 's'}${each}, at ${baseUrl}`],
  ]);
  for (const note of notes) say(note);
  return status;
}

const NOT_ASKED = { price: null, refused: false, problem: null };
const NOT_SENT = { url: null, idempotencyKey: null, body: null };
const UPLOAD = '<upload of ';

/** The bytes of the POST. An address that only the upload gives is named by its file. */
function bodyOf({ body, references }: Generation): string {
  if (references.length === 0) return body;
  const uploads = references.map(({ source }) => {
    const place = 'path' in source ? source.path : 'uri' in source ? source.uri : null;
    return { url: `${UPLOAD}${place}>`, durationSeconds: null, durationToken: null } as UploadResult;
  });
  return requestWith(body, references, uploads).body;
}

/** The starting price, and what a Worker would refuse by the same list. */
async function askList(api: Awaited<ReturnType<typeof openApi>>['api'], model: string, body: string) {
  try {
    const list = await api.listModels();
    const price = list.models.find(({ id }) => id === model)?.baseCredits ?? null;
    const wrong = listedProblem(askedOfList('task', body), list);
    if (wrong === null) return { price, refused: false, problem: null };
    return { price, refused: true, problem: `A Worker would refuse it: ${advice(wrong.problem, wrong.field)}` };
  } catch (error) {
    if (!(error instanceof RivyaApiError)) throw error;
    return { ...NOT_ASKED, problem: `The price is not known: the list of models cannot be had (${error.message})` };
  }
}
