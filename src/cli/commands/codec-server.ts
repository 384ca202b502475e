import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { EncryptionCodec } from '../../codec/codec.js';
import { createCodecServer } from '../../codec/server.js';
import { encryptionOf, readSettings, SettingsError } from '../../config.js';
import { localSession } from '../context.js';
import { STATUS, UsageError } from '../errors.js';
import { collect, examples, PORT, type Flags, type Lists, type Register } from '../options.js';
import { print, printJson, say } from '../output.js';
import { interruption, whenAborted } from '../terminal.js';

// Any page can ask, under any origin.
const MOST_WARNINGS = 100;

type Options = Lists<'origin'> & Flags<'json'> & { readonly port: number; readonly host: string };

export const register: Register = (command) => {
  command
    .option('--port <n>', 'port to listen on; 0 for any', PORT, 8081)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option(
      '--origin <url>',
      'origin of a Temporal UI that may ask; repeatable (default: RIVYA_UI_URL or "dev")',
      collect,
    )
    .addHelpText(
      'after',
      '\nThe token is RIVYA_CODEC_TOKEN, or made anew at each start. Whoever has it reads all payloads.',
    )
    .addHelpText('after', examples('codec-server', 'codec-server --origin http://localhost:8233'));
  return codecServer;
};

async function codecServer({ port, host, origin: given, json }: Options): Promise<number> {
  const { uiUrl, codecToken } = readSettings();
  const keys = encryptionOf();
  if (keys === null) throw new SettingsError('RIVYA_ENCRYPTION_KEYS: is not set, so there is nothing to decrypt with.');
  const ui = uiUrl ?? (await localSession())?.uiUrl ?? null;
  const origins = new Set((given ?? (ui === null ? [] : [ui])).map(originOf));
  const token = codecToken ?? randomBytes(24).toString('base64url');
  const said = new Set<string>();
  const warn = (message: string): void => {
    if (said.has(message) || said.size === MOST_WARNINGS) return;
    say(message);
    said.add(message);
  };
  const interrupted = interruption();
  const server = createCodecServer({ codec: new EncryptionCodec(keys), token, origins, warn });
  server.listen(port, host);
  await once(server, 'listening').catch((error: unknown) => {
    throw new UsageError(`The codec server did not start: ${(error as Error).message}`);
  });
  const { port: actual } = server.address() as AddressInfo;
  const endpoint = `http://${host.includes(':') ? `[${host}]` : host}:${actual}`;
  // A token of the settings is not repeated.
  const shown = codecToken === null ? token : '$RIVYA_CODEC_TOKEN';
  const uses = { ui: `${endpoint}/${shown}`, cli: `--codec-endpoint ${endpoint} --codec-auth "Bearer ${shown}"` };
  if (json) printJson({ endpoint, token: codecToken === null ? token : null, origins: [...origins], ...uses });
  else {
    print(`In the Temporal UI, the glasses at the top, "Remote Codec Endpoint": ${uses.ui}`);
    print(`For the CLI: temporal workflow show --workflow-id <id> ${uses.cli}`);
  }
  if (origins.size === 0) say('No page may ask, only the CLI: name the address of your Temporal UI with --origin.');
  say(`The codec server runs until Ctrl-C, for ${[...origins, 'the CLI'].join(' and ')}.`);
  await whenAborted(interrupted);
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  return STATUS.done;
}

function originOf(url: string): string {
  const { origin } = URL.canParse(url) ? new URL(url) : { origin: 'null' };
  if (origin === 'null') throw new UsageError(`--origin: "${url}" is no address such as http://localhost:8233.`);
  return origin;
}
