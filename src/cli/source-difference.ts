import { createTwoFilesPatch } from 'diff';
import { printableSource, type Printable } from '../core/text/printable.js';

/** A text, and what it is called in the head of a difference. */
export interface NamedText {
  readonly name: string;
  readonly text: string;
}

/** Edits beyond which nobody reads a difference line by line, and looking for the shortest takes long. */
const MOST_EDITS = 20_000;

/** How one text differs from another, as `diff -u` prints it, a line each; empty: they are the same. */
export function unifiedDifference(before: NamedText, after: NamedText): string[] {
  if (before.text === after.text) return [];
  const patch = createTwoFilesPatch(before.name, after.name, before.text, after.text, undefined, undefined, {
    context: 3,
    maxEditLength: MOST_EDITS,
  });
  if (patch === undefined) return [`--- ${before.name}`, `+++ ${after.name}`, 'Too much differs to show it by line.'];
  // The first line is a rule.
  return patch.replace(/\n$/, '').split('\n').slice(1);
}

/** Lines for people. A class, so that they keep their blanks on their way into words. */
export class SourceLines {
  readonly lines: readonly Printable[];

  constructor(lines: readonly string[]) {
    this.lines = lines.map(printableSource);
  }
}
