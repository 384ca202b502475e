import type { FaultTarget } from './faults.js';

/** The documented call, or the file of the media host, that a request is for. */
export type Route = { readonly on: FaultTarget; readonly taskId?: string; readonly fileId?: string };

const ROUTES: readonly (readonly [RegExp, FaultTarget])[] = [
  [/^POST \/api\/v1\/generations$/, 'create'],
  [/^POST \/api\/v1\/chat\/completions$/, 'chat'],
  [/^POST \/api\/v1\/files$/, 'upload'],
  [/^GET \/api\/v1\/models$/, 'models'],
  [/^GET \/api\/v1\/credits$/, 'credits'],
  [/^GET \/api\/v1\/generations\/(?<taskId>[^/]+)$/, 'status'],
  [/^GET \/api\/v1\/files\/(?<fileId>[^/]+)$/, 'file'],
  [/^GET \/media\/(?<taskId>[^/]+)\/\d+\.\w+$/, 'media'],
  [/^GET \/files\/(?<fileId>[^/]+)$/, 'media'],
];

export function routeOf(method: string, path: string): Route | null {
  for (const [pattern, on] of ROUTES) {
    const found = pattern.exec(`${method} ${path}`);
    if (found === null) continue;
    const ids = Object.entries(found.groups ?? {}).map(([name, id]) => [name, decoded(id)]);
    return { on, ...(Object.fromEntries(ids) as Omit<Route, 'on'>) };
  }
  return null;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // No ID of this emulator.
  }
}
