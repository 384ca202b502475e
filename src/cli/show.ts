import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Opens an address in the browser of this machine. Returns why that did not begin, or null. */
export async function showInBrowser(url: string): Promise<string | null> {
  // `start` of Windows belongs to a shell, to which a % in an address is a variable.
  const programs = { darwin: ['open'], win32: ['rundll32', 'url.dll,FileProtocolHandler'] } as Record<string, string[]>;
  const [program = 'xdg-open', ...args] = programs[process.platform] ?? [];
  const child = spawn(program, [...args, url], { detached: true, stdio: 'ignore' });
  child.unref();
  try {
    await once(child, 'spawn');
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
