import { homedir } from 'node:os';
import path from 'node:path';

/**
 * Directory of this package for the user: `cache` for files that can be fetched again, `data` for state that must survive
 * a reboot. `rivya-temporal` below `XDG_CACHE_HOME` or `XDG_DATA_HOME`, or below the usual place of the system.
 */
export function userDirectory(kind: 'cache' | 'data', env: NodeJS.ProcessEnv = process.env): string {
  const isCache = kind === 'cache';
  const usual: Partial<Record<NodeJS.Platform, string>> = {
    darwin: path.join(homedir(), 'Library', isCache ? 'Caches' : 'Application Support'),
    win32: env['LOCALAPPDATA'] || path.join(homedir(), 'AppData', 'Local'),
  };
  const other = path.join(homedir(), isCache ? '.cache' : path.join('.local', 'share'));
  const base = env[isCache ? 'XDG_CACHE_HOME' : 'XDG_DATA_HOME'] || (usual[process.platform] ?? other);
  return path.join(base, 'rivya-temporal');
}
