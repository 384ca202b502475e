/**
 * The client of the API and the source of its key, as the account watches them: all calls of a Worker process pass here.
 * It changes no answer and no failure.
 */
import { RivyaApiError, type KeySource, type RivyaClient } from '../api/index.js';
import type { AccountLink } from './account.js';

type Watch = Pick<AccountLink, 'beforeCall' | 'afterCall' | 'noteRefusal'>;

/**
 * A client each of whose calls waits where the API has asked for a pause, and whose refusals the account hears of. A
 * missing scope is told of where every generation needs it: a key that may not chat, upload or read the balance can still
 * pay for generations.
 */
export function watchedClient(api: RivyaClient, watch: Watch): RivyaClient {
  const watched = async <T>(needed: 'always' | 'sometimes', call: () => Promise<T>): Promise<T> => {
    await watch.beforeCall();
    try {
      const answer = await call();
      watch.afterCall(null);
      return answer;
    } catch (error) {
      const isOwn = needed === 'sometimes' && error instanceof RivyaApiError && error.code === 'api_scope_denied';
      if (error instanceof RivyaApiError) watch.afterCall(isOwn ? null : error);
      throw error;
    }
  };
  return {
    baseUrl: api.baseUrl,
    createGeneration: (input) => watched('always', () => api.createGeneration(input)),
    retrieveGeneration: (taskId, maySend) => watched('always', () => api.retrieveGeneration(taskId, maySend)),
    createChat: (input) => watched('sometimes', () => api.createChat(input)),
    uploadFile: (input) => watched('sometimes', () => api.uploadFile(input)),
    retrieveFile: (fileId, key) => watched('sometimes', () => api.retrieveFile(fileId, key)),
    getCredits: () => watched('sometimes', () => api.getCredits()),
    listModels: () => watched('sometimes', () => api.listModels()),
    close: () => api.close(),
  };
}

/** A source of the key of which the account hears where it has none that can be sent. */
export function watchedKeys(keys: KeySource, watch: Watch): KeySource {
  return {
    async current() {
      try {
        const key = await keys.current();
        if (key === null) watch.noteRefusal(noKey());
        return key;
      } catch (error) {
        if (error instanceof RivyaApiError) watch.noteRefusal(error);
        throw error;
      }
    },
    refresh: () => keys.refresh(),
  };
}

function noKey(): RivyaApiError {
  return new RivyaApiError('There is no API key.', { outcome: 'refused', code: 'api_key_missing' });
}
