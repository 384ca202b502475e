/** The three date forms of RFC 9110. `Date.parse` alone would take almost any text for a date. */
const HTTP_DATES = [
  /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
];
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/** Milliseconds since the epoch of an HTTP date, or null. */
export function parseHttpDate(value: string | null): number | null {
  const text = value?.trim() ?? '';
  // The asctime form names no zone; it means GMT, and `Date.parse` would take it as local.
  const time = ASCTIME.test(text)
    ? Date.parse(`${text} GMT`)
    : HTTP_DATES.some((form) => form.test(text))
      ? Date.parse(text)
      : Number.NaN;
  return Number.isNaN(time) ? null : time;
}

/**
 * Milliseconds that a `Retry-After` header asks for: seconds (decimals too, although the standard has none) or an HTTP
 * date, counted from `now`, which should come from the reply's own `Date` header where it has one. A date that is past
 * and a negative number give 0, anything else that cannot be read gives null. Large values are returned as they are.
 */
export function parseRetryAfter(value: string | null, now: number): number | null {
  const text = value?.trim() ?? '';
  if (/^-?\d+(\.\d+)?$/.test(text)) return atLeastZero(Number(text) * 1_000);
  const date = parseHttpDate(text);
  return date === null ? null : atLeastZero(date - now);
}

function atLeastZero(ms: number): number {
  // A number with hundreds of digits is Infinity, which JSON cannot carry.
  return Math.min(Math.max(Math.ceil(ms), 0), Number.MAX_SAFE_INTEGER);
}
