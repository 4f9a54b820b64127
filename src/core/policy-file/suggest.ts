const plain = (word: string): string => word.toLowerCase().replaceAll(/[\s_-]/g, '');

/** Of the lists that are asked about again and again, such as that of all time zones. */
const knownForms = new WeakMap<readonly string[], readonly string[]>();

function formsOf(candidates: readonly string[]): readonly string[] {
  const forms = knownForms.get(candidates) ?? candidates.map(plain);
  knownForms.set(candidates, forms);
  return forms;
}

/**
 * The candidate that was probably meant: the same but for case and separators, or a few typing mistakes away, or one that
 * contains the word as a whole ("runtime" for "max_runtime").
 */
export function closest(word: string, candidates: readonly string[]): string | null {
  const wanted = plain(word);
  if (wanted === '' || wanted.length > 60) return null;
  const mistakes = wanted.length <= 4 ? 1 : wanted.length <= 8 ? 2 : 3;
  const forms = formsOf(candidates);
  const [best] = candidates
    .flatMap((candidate, index) => {
      const form = forms[index] ?? '';
      // The distance is at least the difference in length.
      if (Math.abs(form.length - wanted.length) > mistakes) return [];
      return [{ candidate, distance: editDistance(wanted, form) }];
    })
    .filter(({ distance }) => distance <= mistakes)
    .sort((a, b) => a.distance - b.distance);
  if (best !== undefined) return best.candidate;
  const containing = candidates.filter((_, index) => wanted.length >= 3 && forms[index]?.includes(wanted));
  return containing.length === 1 ? (containing[0] ?? null) : null;
}

export function didYouMean(word: string, candidates: readonly string[]): string | null {
  const best = closest(word, candidates);
  return best === null ? null : `Did you mean ${best}?`;
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(substituted, at(last, j) + 1, at(row, j - 1) + 1);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, at(beforeLast, j - 2) + 1);
      row.push(least);
    }
    [beforeLast, last] = [last, row];
  }
  return at(last, b.length);
}

const at = (row: readonly number[], index: number): number => row[index] ?? Number.POSITIVE_INFINITY;
