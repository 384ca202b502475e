/** The beginning of a body that is a text: its characters, and the root element of what is written in markup. */

const BYTE_ORDER_MARKS: readonly (readonly [label: string, mark: readonly number[]])[] = [
  ['utf-8', [0xef, 0xbb, 0xbf]],
  ['utf-16le', [0xff, 0xfe]],
  ['utf-16be', [0xfe, 0xff]],
];
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\0-\u0008\u000e-\u001a\u001c-\u001f]/;

// Pages, XML and JSON are such a text in any coding: ISO-8859-1, UTF-16 without a mark, UTF-8 with a byte that is none.
const PAGE = /^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*(?:<[!?a-z]|[{[]\s*["{[\]}])/i;

/**
 * The characters of a head, without a byte order mark; null where it is no text. The last one may be cut in two. What begins
 * like a page, XML or JSON is a text also where not all of its bytes are: it is read byte by byte, without NULs.
 */
export function textOf(head: Buffer): string | null {
  const bytes = head.toString('latin1').replaceAll('\0', '');
  return cleanTextOf(head) ?? (PAGE.test(bytes) ? bytes : null);
}

function cleanTextOf(head: Buffer): string | null {
  const marked = BYTE_ORDER_MARKS.find(([, mark]) => mark.every((byte, index) => head[index] === byte));
  try {
    const text = new TextDecoder(marked?.[0] ?? 'utf-8', { fatal: true }).decode(head, { stream: true });
    return CONTROLS.test(text) ? null : text;
  } catch {
    return null;
  }
}

/**
 * The name of the root element, without its prefix and in lower case; null where the text is no markup, or is cut off before
 * the root. Declaration, document type, comments and processing instructions before it are skipped.
 */
export function rootOf(text: string): string | null {
  const prolog = /^\s*(?:<\?[^]*?\?>|<!--[^]*?-->|<!doctype(?:[^[\]>"']|"[^"]*"|'[^']*'|\[[^]*?\]\s*(?=>))*>)/i;
  let rest = text;
  for (let found = prolog.exec(rest); found !== null; found = prolog.exec(rest)) rest = rest.slice(found[0].length);
  const [, name] = /^\s*<(?:[\w.-]+:)?([a-z][\w.-]*)(?=[\s/>])/i.exec(rest) ?? [];
  return name?.toLowerCase() ?? null;
}
