/** Traffic that `doctor --live --record` wrote is read by this client as it is: a contract with the API, not with our emulator. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RivyaApiError, type RivyaClient } from '../../src/api/index.js';
import type { RecordedExchange, Recording } from '../../src/cli/live/record.js';
import { API_KEY, clientFor, json, serve } from './wire.js';

const directory = new URL('fixtures/', import.meta.url);
const recordings = readdirSync(directory).map(
  (name) => [name, readFileSync(new URL(name, directory), 'utf8')] as const,
);

interface Body {
  readonly [field: string]: unknown;
  readonly error?: { readonly code: string; readonly requestId?: string } | null;
  readonly result?: { readonly primary_url?: string | null; readonly urls?: readonly string[] } | null;
}

/** Makes the recorded call again. */
function call(client: RivyaClient, exchange: RecordedExchange): Promise<unknown> {
  const [, resource = '', taskId] = /\/api\/v1\/(\w+)(?:\/([^/]+))?$/.exec(exchange.path) ?? [];
  if (resource === 'models') return client.listModels();
  if (resource === 'credits') return client.getCredits();
  if (taskId !== undefined) return client.retrieveGeneration(decodeURIComponent(taskId));
  const { idempotencyKey, requestBody } = exchange;
  return client.createGeneration({ idempotencyKey: idempotencyKey ?? '', body: JSON.stringify(requestBody) });
}

/** What the client must have understood of a body. */
function understood(body: Body): unknown {
  if (Array.isArray(body['data'])) return { models: body['data'].map((model: Body) => ({ id: model['id'] })) };
  if ('current_credits' in body) return { currentCredits: body['current_credits'] };
  const { primary_url: primary, urls } = body.result ?? {};
  return {
    task: {
      taskId: body['id'],
      status: expect.stringMatching(/^(?:queued|processing|succeeded|failed)$/),
      model: body['model'],
      reservedCredits: body['reserved_credits'],
      finalCredits: body['final_credits'] ?? null,
      createdAt: body['created_at'] ?? null,
      urls: urls !== undefined && urls.length > 0 ? urls : primary == null ? [] : [primary],
    },
  };
}

describe.each(recordings)('%s', (_, text) => {
  const { format, simulated, exchanges } = JSON.parse(text) as Recording;

  it('says what it is and holds no secret', () => {
    expect(format).toBe('rivya-temporal/recording/v1');
    expect(simulated).toBe(exchanges.some(({ headers }) => 'x-rivya-simulated' in headers));
    expect(text).not.toMatch(/rvya_sk_|whsec_|"(?:set-)?cookie":|"authorization":|[?&](?:x-amz-)?signature=/i);
  });

  it.each(exchanges.filter(({ status }) => status !== null).map((one, i) => [i + 1, one.step, one] as const))(
    'exchange %i, %s',
    async (_number, _step, exchange) => {
      const { status, headers, method, path, idempotencyKey, requestBody } = exchange;
      const body = exchange.body as Body | null;
      const wire = await serve((socket) => socket.write(json(status ?? 0, body, { ...headers })));
      const client = clientFor(wire.url + path.replace(/\/api\/v1\/.*$/, ''));
      try {
        const answer: unknown = await call(client, exchange).catch((error: unknown) => error);
        if (status! >= 200 && status! < 300) expect(answer).toMatchObject(understood(body!) as object);
        else {
          expect(answer).toBeInstanceOf(RivyaApiError);
          // Without the envelope nobody knows who answered, so a task may exist.
          const { code = null, requestId } = body?.error ?? {};
          const refused = code !== null && (status! < 500 || code === 'public_api_disabled');
          expect(answer).toMatchObject({ httpStatus: status, code, outcome: refused ? 'refused' : 'unknown' });
          if (requestId !== undefined) expect(answer).toMatchObject({ requestId });
        }
        // What was recorded is what this client sends, so the fixture is about this client.
        expect(wire.requests).toHaveLength(1);
        const [sent] = wire.requests;
        expect(sent?.head).toContain(`${method} ${path} HTTP/1.1`);
        expect(sent?.body).toBe(requestBody === null ? '' : JSON.stringify(requestBody));
        if (idempotencyKey !== null) expect(sent?.head).toContain(`idempotency-key: ${idempotencyKey}`);
        if (!path.endsWith('/models')) expect(sent?.head).toContain(API_KEY);
      } finally {
        await client.close();
        await wire.close();
      }
    },
  );
});
