/** A TLS handshake with the address of Temporal, which says in plain words why the SDK could not connect. */
import { isIP } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import type { Credentials } from './refusal.js';

const HANDSHAKE_MS = 3_000;
// With TLS 1.3 a server refuses a client's certificate after the client's side of the handshake is done.
const REFUSED_LATER_MS = 500;
const DEFAULT_PORT = 7233;
const NO_TLS = /WRONG_VERSION|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|InvalidContentType/;
const ALERT = /ALERT|AlertReceived/;
const DONE = 'OK';

// By the code of Node's error, or the name of the native client's: the setting to correct, and how.
const MISTAKES: readonly (readonly [code: RegExp, setting: string, correct: string])[] = [
  [/ALTNAME|NotValidForName/, 'TEMPORAL_TLS_SERVER_NAME', 'Set it to a name that is in the certificate of the server.'],
  [NO_TLS, 'TEMPORAL_TLS', 'No TLS is spoken there: correct TEMPORAL_ADDRESS, or set TEMPORAL_TLS=false.'],
  [
    new RegExp(`${ALERT.source}|HANDSHAKE|OSSL|PEM|KEY_VALUES|private key|PrivateKey`),
    'TEMPORAL_TLS_CLIENT_CERT_PATH',
    'Set it, and TEMPORAL_TLS_CLIENT_KEY_PATH, to a certificate that the server accepts and to its key.',
  ],
  [
    /CERT|_CA$|ISSUER|SIGNATURE|CHAIN|InvalidCertificate/,
    'TEMPORAL_TLS_SERVER_CA_CERT_PATH',
    'Set it to the certificate of the authority that signed that of the server.',
  ],
];

/**
 * The mistake about TLS in these settings as a sentence, or null where TLS is not why the connection fails.
 * @param said - The error of the SDK. Its native client may trust other authorities than Node does.
 */
export async function tlsMistake(address: string, { apiKey, tls }: Credentials, said: unknown): Promise<string | null> {
  if (!URL.canParse(`tcp://${address}`)) return null;
  const { hostname, port } = new URL(`tcp://${address}`);
  const host = hostname.replace(/^\[|\]$/g, '');
  // The SDK too speaks TLS where there is a key.
  const wanted = tls ?? apiKey !== undefined;
  const own = typeof wanted === 'object' ? wanted : {};
  const { serverNameOverride = isIP(host) === 0 ? host : '', serverRootCACertificate, clientCertPair } = own;
  const at = { host, port: Number(port) || DEFAULT_PORT, servername: serverNameOverride, ALPNProtocols: ['h2'] };
  if (wanted === false) {
    const { code } = await handshake({ ...at, rejectUnauthorized: false });
    if (code !== DONE && !ALERT.test(code)) return null;
    return `TEMPORAL_TLS: the server at ${address} speaks TLS, and the settings ask for none. Set TEMPORAL_TLS=true, and the key or client certificate that it wants. Nothing was started.`;
  }
  const found = await handshake({
    ...at,
    ...(serverRootCACertificate != null && { ca: Buffer.from(serverRootCACertificate) }),
    ...(clientCertPair != null && { cert: Buffer.from(clientCertPair.crt), key: Buffer.from(clientCertPair.key) }),
  });
  const native = said instanceof Error && said.name === 'TransportError' ? said.message : '';
  for (const { code, words } of [found, { code: native, words: native }]) {
    const [, setting, correct] = MISTAKES.find(([mistake]) => mistake.test(code)) ?? [];
    if (setting === undefined) continue;
    return `${setting}: TLS with Temporal at ${address} fails: ${words.replace(/\.$/, '')}. ${correct} Nothing was started.`;
  }
  return null;
}

type Handshake = { readonly code: string; readonly words: string };

/** How a handshake goes: the code and words of its error, or `DONE`. */
function handshake(options: ConnectionOptions): Promise<Handshake> {
  return new Promise((resolve) => {
    const failed = (error: Error & { code?: string; reason?: string }): void => {
      const { code = '', reason, message } = error;
      // The reason of a wrong name leaves out what is wrong.
      resolve({ code, words: code.startsWith('ERR_TLS') ? message : (reason ?? message) });
    };
    try {
      const socket = connect(options);
      const end = (code: string): void => {
        resolve({ code, words: '' });
        socket.destroy();
      };
      socket.once('secureConnect', () => setTimeout(end, REFUSED_LATER_MS, DONE));
      socket.setTimeout(HANDSHAKE_MS, () => end('ETIMEDOUT'));
      socket
        .on('error', failed)
        .once('close', () => end('ECONNRESET'))
        .resume();
    } catch (error) {
      // A certificate or key that cannot be read.
      failed(error as Error);
    }
  });
}
