/** What an error of Node or a library is about, in a word where it has one: messages can quote what was sent. */
export function reason(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : error instanceof Error ? error.message : String(error);
}
