/** Whether bytes begin as UTF-16 does: with its mark, or with every other byte zero, as Latin letters have it. */
export function looksLikeUtf16(bytes: Uint8Array): boolean {
  const [first, second, third, fourth] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return true;
  return (first === 0 && second !== 0 && third === 0) || (second === 0 && first !== 0 && fourth === 0);
}

/**
 * The text of a file in UTF-8, without its byte order mark.
 *
 * @returns what it is instead: `utf-16`, or `other` with the line of the first bytes that are no UTF-8
 */
export function utf8Text(
  bytes: Uint8Array,
): { readonly text: string } | { readonly encoding: 'utf-16' } | { readonly encoding: 'other'; readonly line: number } {
  if (looksLikeUtf16(bytes)) return { encoding: 'utf-16' };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { encoding: 'other', line: lineOfFirstFault(bytes) };
  }
}

/** From 1. Line ends are the same byte in UTF-8 and in the old encodings of one byte a letter. */
function lineOfFirstFault(bytes: Uint8Array): number {
  const lines = Buffer.from(bytes).toString('utf8').split('\n');
  const fault = lines.findIndex((line) => line.includes('\uFFFD'));
  return Math.max(fault, 0) + 1;
}
