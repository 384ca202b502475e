import { createRivyaClient, RivyaApiError, type Exchange, type RivyaClient, type Secret } from '../../api/index.js';

/** One call: what went over the wire, and what the client made of it. Exactly one of `value` and `error` is there. */
export interface Step<T> {
  readonly exchange: Exchange;
  readonly value: T | null;
  readonly error: RivyaApiError | null;
}

/** An exchange and what it was for. */
export interface NamedExchange extends Exchange {
  readonly step: string;
}

/** A client of one account that keeps its traffic. Calls are made one after the other. */
export class Wire {
  readonly exchanges: NamedExchange[] = [];
  readonly #client: RivyaClient;
  readonly #arrived: Exchange[] = [];

  /** @throws InvalidAddress for a base URL or a proxy address that cannot be used. */
  constructor(baseUrl: string, key: Secret, env: NodeJS.ProcessEnv = process.env) {
    // One and the same key from the first call to the last: another one may be another account.
    const current = (): Promise<Secret> => Promise.resolve(key);
    this.#client = createRivyaClient({
      baseUrl,
      keys: { current, refresh: current },
      env,
      onExchange: (exchange) => this.#arrived.push(exchange),
    });
  }

  /** Makes one call. A refusal and a missing answer are results, not exceptions. */
  async step<T>(name: string, call: (client: RivyaClient) => Promise<T>): Promise<Step<T>> {
    const [value, error] = await call(this.#client).then(
      (answer) => [answer, null] as const,
      (reason: unknown) => [null, reason] as const,
    );
    const exchange = this.#arrived.pop();
    if (exchange === undefined || (error !== null && !(error instanceof RivyaApiError))) throw error;
    this.exchanges.push({ ...exchange, step: name });
    return { exchange, value, error };
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
