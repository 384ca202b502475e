/** Bodies of uploads: `multipart/form-data` of text fields and one file, which is never in memory as a whole. */
import { randomUUID } from 'node:crypto';

export interface FilePart {
  readonly fileName: string;
  readonly mimeType: string;
  readonly bytes: number;
  readonly body: AsyncIterable<Uint8Array>;
}

/** The body, with its `content-type` header and its size, so that no chunked encoding is needed. */
export function multipart(fields: Readonly<Record<string, string | undefined>>, file: FilePart) {
  const boundary = `rivya-${randomUUID()}`;
  const texts = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`],
  );
  const head = Buffer.from(
    `${texts.join('')}--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${headerName(file.fileName)}"\r\n` +
      `Content-Type: ${file.mimeType}\r\n\r\n`,
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  async function* body(): AsyncGenerator<Uint8Array> {
    yield head;
    yield* file.body;
    yield tail;
  }
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    bytes: head.length + file.bytes + tail.length,
    body: body(),
  };
}

/** A file name that a header can carry. Servers disagree on how to write any other. */
function headerName(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]+/g, '-').slice(-100) || 'file';
}
