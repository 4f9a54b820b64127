/**
 * A text in the one form in which texts are compared: Unicode's NFC. An é is one code point or two, depending on the keyboard,
 * editor or file system that it comes from; nobody sees the difference, and an exclusion must hold all the same.
 */
export const comparable = (text: string): string => text.normalize('NFC');

/** The same for what is compared without regard to case. */
export const comparableInAnyCase = (text: string): string => comparable(comparable(text).toLowerCase());

/** Whether two texts are the same but for their normal form. */
export const sameText = (one: string, other: string): boolean => comparable(one) === comparable(other);

/**
 * Whether a whole text fits a pattern in which `*` stands for any characters, also none, and `?` for exactly one. All
 * other characters stand for themselves, so that the name of an agent such as "[Prod] Support" needs no escaping.
 *
 * Not a library for file globs: those give `/`, a leading dot, brackets and braces a meaning, which names and e-mail
 * addresses don't share. Not a RegExp either: several `*` make it try exponentially or polynomially many ways on names
 * that somebody else chose. This needs at most pattern length × text length steps.
 *
 * Both are compared as {@link comparable} has them, by code point: so `?` is one character also where UTF-16 needs two units.
 */
export function globMatches(pattern: string, text: string): boolean {
  const wanted = [...comparable(pattern)];
  const given = [...comparable(text)];
  let at = 0;
  let next = 0;
  // The last `*` seen, and where the text that it swallows ends: to try again with one character more.
  let star = -1;
  let swallowedTo = 0;
  while (at < given.length) {
    if (wanted[next] === '*') {
      star = next++;
      swallowedTo = at;
    } else if (next < wanted.length && (wanted[next] === '?' || wanted[next] === given[at])) {
      next++;
      at++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++swallowedTo;
    } else {
      return false;
    }
  }
  while (wanted[next] === '*') next++;
  return next === wanted.length;
}

/** Whether a pattern stands for one text alone. */
export const isLiteral = (pattern: string): boolean => !/[*?]/.test(pattern);

/** Whether a pattern fits every text. */
export const fitsAnything = (pattern: string): boolean => /^\*+$/.test(pattern);

/**
 * Whether all that fits `inner` fits `outer` too. May say no where a closer look would say yes, never the other way.
 */
export function globCovers(outer: string, inner: string): boolean {
  if (sameText(outer, inner)) return true;
  // A `?` of the outer pattern would take a `*` of the inner one for a single character.
  if (outer.includes('?') && inner.includes('*')) return false;
  return globMatches(outer, inner);
}
