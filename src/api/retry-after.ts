/** The three date forms of RFC 9110; the last one names no zone and means GMT. `Date.parse` alone takes almost any text. */
const HTTP_DATE = /^[A-Z][a-z]{2,8},? [\w -]{6,11} \d{2}:\d{2}:\d{2} (GMT|\d{4})$/;

/** Milliseconds since the epoch of an HTTP date, or null. */
export function parseHttpDate(value: string | null): number | null {
  const text = value?.trim() ?? '';
  const time = HTTP_DATE.test(text) ? Date.parse(text.endsWith('GMT') ? text : `${text} GMT`) : Number.NaN;
  return Number.isNaN(time) ? null : time;
}

/**
 * Milliseconds that a `Retry-After` header asks for: seconds (decimals too, although the standard has none) or an HTTP
 * date. A past date and a negative number give 0, anything else that cannot be read gives null. Large values are not cut.
 * @param now - From the reply's own `Date` header, where it has one.
 */
export function parseRetryAfter(value: string | null, now: number): number | null {
  const text = value?.trim() ?? '';
  const date = parseHttpDate(text);
  const ms = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : date === null ? null : date - now;
  // A number with hundreds of digits is Infinity, which JSON cannot carry.
  return ms === null ? null : Math.min(Math.max(Math.ceil(ms), 0), Number.MAX_SAFE_INTEGER);
}
