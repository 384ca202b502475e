interface Part {
  readonly name: string;
  /** Undefined where the part is a plain field. */
  readonly fileName: string | undefined;
  readonly body: Buffer;
}

/** The parts of a body, or null where it is no whole `multipart/form-data` (RFC 7578). */
export function parseMultipart(body: Buffer, contentType: string | undefined): Part[] | null {
  const [, quoted, plain] =
    /^multipart\/form-data\b.*;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType ?? '') ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return null;
  const parts: Part[] = [];
  const opening = `--${boundary}`;
  if (!body.subarray(0, opening.length).equals(Buffer.from(opening))) return null;
  for (let at = opening.length; ;) {
    if (body.subarray(at, at + 2).toString() === '--') return parts;
    const headEnd = body.indexOf('\r\n\r\n', at);
    const next = headEnd === -1 ? -1 : body.indexOf(`\r\n${opening}`, headEnd + 4);
    if (next === -1) return null;
    const head = body.subarray(at, headEnd).toString();
    const [, name] = /^content-disposition:.*?[;\s]name="([^"]*)"/im.exec(head) ?? [];
    if (name === undefined) return null;
    const [, fileName] = /^content-disposition:.*?[;\s]filename="([^"]*)"/im.exec(head) ?? [];
    parts.push({ name, fileName, body: body.subarray(headEnd + 4, next) });
    at = next + 2 + opening.length;
  }
}
