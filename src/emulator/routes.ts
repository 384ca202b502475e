import type { FaultTarget } from './types.js';

/** Which documented call, or file of the media host, a request is for. */
export interface Route {
  readonly on: FaultTarget;
  readonly taskId?: string;
  readonly fileId?: string;
}

export function routeOf(method: string, path: string): Route | null {
  if (method === 'POST' && path === '/api/v1/generations') return { on: 'create' };
  if (method === 'POST' && path === '/api/v1/chat/completions') return { on: 'chat' };
  if (method === 'POST' && path === '/api/v1/files') return { on: 'upload' };
  if (method !== 'GET') return null;
  if (path === '/api/v1/models') return { on: 'models' };
  if (path === '/api/v1/credits') return { on: 'credits' };
  const [, checked, fetched] = /^(?:\/api\/v1\/generations\/([^/]+)|\/media\/([^/]+)\/\d+\.\w+)$/.exec(path) ?? [];
  const [, api, fileId] = /^(\/api\/v1)?\/files\/([^/]+)$/.exec(path) ?? [];
  if (fileId !== undefined) return { on: api === undefined ? 'media' : 'file', fileId: decode(fileId) };
  if (checked !== undefined) return { on: 'status', taskId: decode(checked) };
  return fetched === undefined ? null : { on: 'media', taskId: decode(fetched) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // Not a task ID of ours in any case.
  }
}
