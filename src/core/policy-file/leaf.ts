import * as z from 'zod';
import { closest } from './suggest.js';
import { bad, good, shown, type Reading } from './reading.js';

/** What an editor is told about a value: JSON Schema keywords. */
interface Hints {
  readonly description: string;
  readonly examples?: readonly (string | number)[];
  readonly enum?: readonly string[];
  readonly [keyword: string]: unknown;
}

/**
 * A single value: read by `read`, described to editors by `hints`. Both in one place, because the checks of JSON Schema
 * can't say what was probably meant.
 */
export function leaf<T>(read: (value: unknown) => Reading<T>, hints: Hints) {
  return z
    .unknown()
    .transform((value, context): T => {
      const reading = value === undefined ? bad('is missing', exampleOf(hints)) : readPresent(value, read, hints);
      if ('value' in reading) return reading.value;
      context.addIssue({ code: 'custom', message: reading.problem, params: { suggestion: () => reading.suggestion } });
      return z.NEVER;
    })
    .meta(hints);
}

const readPresent = <T>(value: unknown, read: (value: unknown) => Reading<T>, hints: Hints): Reading<T> =>
  value === null ? bad('has no value', exampleOf(hints)) : read(value);

function exampleOf({ examples, enum: words }: Hints): string {
  if (examples?.[0] !== undefined) return `For example: ${examples[0]}`;
  return words === undefined ? 'Give it a value, or remove the line.' : `One of ${words.join(', ')}.`;
}

/** One of a few words. */
export function choice<const T extends string>(values: readonly T[], description: string) {
  const read = (value: unknown): Reading<T> => {
    const known = values.find((candidate) => candidate === value);
    if (known !== undefined) return good(known);
    // YAML 1.1, which a directive can ask for, reads a bare "off" as false.
    const word = value === false ? 'off' : typeof value === 'string' ? value : '';
    const meant = closest(word, values);
    return bad(
      `is ${shown(value)}, which is not one of ${values.join(', ')}`,
      meant === null ? null : `Did you mean ${value === false ? `"${meant}", in quotes` : meant}?`,
    );
  };
  return leaf(read, { type: 'string', enum: values, description });
}
