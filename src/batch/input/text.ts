/** The text of an input file: which encoding it has, and its characters with `\n` as the only line end. */
import { InputRefused } from './problems.js';

const NEW_LINE = 0x0a;
// What is no text shows it early.
const HEAD = 4_096;

/**
 * The encoding of a file by its first bytes: UTF-8, or UTF-16 by its byte order mark or its zero bytes.
 * @param named - An encoding that a person has named; it counts unless there is another byte order mark.
 * @throws InputRefused for a file that is no text, and for a name that is no encoding.
 */
export function encodingOf(bytes: Uint8Array, named?: string): string {
  const head = bytes.subarray(0, HEAD);
  const startsWith = (...mark: number[]): boolean => mark.every((byte, index) => head[index] === byte);
  if (startsWith(0x50, 0x4b, 0x03, 0x04)) {
    throw new InputRefused(null, 'This is a workbook or another ZIP file. Save the sheet as "CSV UTF-8"');
  }
  if (startsWith(0xef, 0xbb, 0xbf)) return 'utf-8';
  if (startsWith(0xff, 0xfe)) return 'utf-16le';
  if (startsWith(0xfe, 0xff)) return 'utf-16be';
  if (named !== undefined) return nameOf(named);
  // Columns have Latin names: of each letter, one byte is zero, and its place says which half comes first.
  const zeros = [...head.subarray(0, 4)].map((byte) => byte === 0).join();
  if (zeros === 'false,true,false,true') return 'utf-16le';
  if (zeros === 'true,false,true,false') return 'utf-16be';
  if (head.includes(0)) throw new InputRefused(null, 'This is no text: it has zero bytes');
  return 'utf-8';
}

function nameOf(label: string): string {
  try {
    return new TextDecoder(label).encoding;
  } catch {
    const known = 'known are utf-8, utf-16le, windows-1252, shift_jis, gb18030 and the other names of the web';
    throw new InputRefused(null, `--encoding: "${label}" is no encoding; ${known}`);
  }
}

/**
 * The characters of a file, with `\n` for every line end: a file that an editor saved with other line ends has the same items.
 * @throws InputRefused with the line of the first bytes that are not of this encoding.
 */
export async function* decode(chunks: AsyncIterable<Uint8Array>, encoding: string): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding, { fatal: true });
  let line = 1;
  let afterReturn = false;
  const decoded = (bytes?: Uint8Array): string => {
    let text: string;
    try {
      text = bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
    } catch {
      throw new InputRefused(line, undecodable(encoding));
    }
    // The second half of a line end that was cut in two.
    const rest = afterReturn && text.startsWith('\n') ? text.slice(1) : text;
    if (text !== '') afterReturn = text.endsWith('\r');
    const normal = rest.replaceAll(/\r\n?/g, '\n');
    for (let at = normal.indexOf('\n'); at !== -1; at = normal.indexOf('\n', at + 1)) line += 1;
    return normal;
  };
  for await (const chunk of chunks) yield piecesOf(chunk).map(decoded).join('');
  yield decoded();
}

/** A chunk in pieces that end at a line end, so that a wrong byte is found in its line. */
function piecesOf(chunk: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let from = 0; from < chunk.length;) {
    const end = chunk.indexOf(NEW_LINE, from);
    const next = end === -1 ? chunk.length : end + 1;
    pieces.push(chunk.subarray(from, next));
    from = next;
  }
  return pieces;
}

function undecodable(encoding: string): string {
  if (encoding !== 'utf-8') return `is not ${encoding}. Save the file as "CSV UTF-8"`;
  const advice = 'Save the file as "CSV UTF-8", or name its encoding, for example --encoding windows-1252';
  return `is not UTF-8. The file may be Windows-1252, as spreadsheets on Windows save "CSV". ${advice}`;
}
