import { RivyaApiError, type ModelInfo, type RivyaClient } from '../api/index.js';
import type { TaskSnapshot } from '../contract/index.js';
import { readInput } from '../policy/index.js';
import { UsageError } from './errors.js';

/** The prompt of the create and of its repetition. */
export const PROMPT = 'A plain grey square';

/** What a POST was answered with: a task or an error. Neither: it was not sent. */
export interface Answer {
  readonly task?: TaskSnapshot;
  readonly error?: RivyaApiError;
}

/** Everything that was seen of an account. Balances are null where they are not known; `between` is that after the replay. */
export type Seen = Awaited<ReturnType<typeof askAccount>>;

/**
 * The cheapest image model with a fixed price that takes a prompt; `z-image` where several cost the same.
 *
 * @throws UsageError where two tasks of it could cost more than the limit.
 */
export function chooseModel(models: readonly ModelInfo[], maxCredits: number) {
  const [cheapest] = models
    .filter(({ kind, billingType }) => kind === 'image' && billingType === 'FIXED')
    .filter(({ apiStatus }) => apiStatus === null || apiStatus === 'available')
    .filter(({ supportedModes: modes }) => modes.length === 0 || modes.includes('text-to-image'))
    .flatMap(({ id, baseCredits: price }) => (price === null || price <= 0 ? [] : [{ id, price }]))
    .toSorted((a, b) => a.price - b.price || Number(b.id === 'z-image') - Number(a.id === 'z-image'));
  if (cheapest === undefined) throw new UsageError('The API lists no image at a fixed price. Nothing was posted.');
  const { id, price } = cheapest;
  if (2 * price <= maxCredits) return cheapest;
  throw new UsageError(
    `The cheapest model, ${id}, costs ${price} credits, and twice that where a repeated submit is paid again. That exceeds --max-credits ${maxCredits}. Nothing was posted. Allow it with --max-credits ${2 * price}.`,
  );
}

/**
 * Asks one account: create, the same again, another body under the same key, and the balance around them. A POST is sent
 * only while one task at most can have been paid, so two are paid at worst.
 *
 * @throws RivyaApiError where the balance cannot be read at first, unless its scope is missing. Nothing was posted then.
 */
export async function askAccount(
  api: RivyaClient,
  { model, idempotencyKey }: { model: ReturnType<typeof chooseModel>; idempotencyKey: string },
  interrupted: AbortSignal,
) {
  const post = async (prompt: string): Promise<Answer> => {
    if (interrupted.aborted) return {};
    // The bytes that "generate" sends for the same prompt, so that it can take up what got lost here.
    const { body } = readInput({ model: model.id, prompt });
    try {
      return { task: (await api.createGeneration({ idempotencyKey, body })).task };
    } catch (error) {
      if (error instanceof RivyaApiError) return { error };
      throw error;
    }
  };
  const balance = async (): Promise<number | null> => (await api.getCredits()).currentCredits;
  const before = await balance().catch((error: unknown) => {
    if (error instanceof RivyaApiError && error.code === 'api_scope_denied') return null;
    throw error;
  });
  const create = await post(PROMPT);
  // A task that takes more than the list says would take it twice.
  const withinPrice = (create.task?.reservedCredits ?? 0) <= model.price;
  const replay = create.error?.outcome !== 'refused' && withinPrice ? await post(PROMPT) : {};
  const between = await balance().catch(() => null);
  const same = create.task !== undefined && create.task.taskId === replay.task?.taskId;
  const paidOnce = before === null || between === null || before - between <= model.price;
  const conflict = same && paidOnce ? await post('A plain white square') : {};
  const after = await balance().catch(() => null);
  return { idempotencyKey, model, create, replay, conflict, before, between, after };
}
