/** The word that a person meant. Messages about unknown names call it; it decides nothing. */

// Two letters in five may be wrong: beyond that, another word is meant.
const WRONG = 0.4;
// A shorter beginning is one of many words.
const BEGINNING = 3;

/** The known word that is most like this one, or null where none is like it. Case does not count. */
export function nearest(word: string, known: Iterable<string>): string | null {
  let best: { readonly word: string; readonly edits: number } | null = null;
  for (const one of known) {
    const edits = difference(word.toLowerCase(), one.toLowerCase());
    if (edits <= Math.max(1, word.length * WRONG) && edits < (best?.edits ?? Infinity)) best = { word: one, edits };
  }
  return best?.word ?? null;
}

/** Letters of the first word to add, drop, change or swap. A word that goes on where the first ends needs less than one. */
function difference(a: string, b: string): number {
  if (a === b) return 0;
  if (a.length >= BEGINNING && b.startsWith(a)) return (b.length - a.length) / b.length;
  let [before, row] = [[] as number[], Array.from({ length: b.length + 1 }, (_, n) => n)];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (same ? 0 : 1),
          swapped ? (before[j - 2] ?? 0) + 1 : Infinity,
        ),
      );
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}
