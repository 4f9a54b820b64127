import { printableJson, shortened } from '../text/printable.js';

/**
 * A value of the file read for what it means, or what is wrong with it. `problem` goes on after the name of the field:
 * "has no unit". `suggestion` is a sentence of its own.
 */
export type Reading<T> = { readonly value: T } | { readonly problem: string; readonly suggestion: string | null };

export const good = <T>(value: T): Reading<T> => ({ value });
/** @param suggestion - as a function where it takes time to find: it is found when somebody asks */
export const bad = (problem: string, suggestion: string | null | (() => string) = null): Reading<never> => ({
  problem,
  get suggestion() {
    return typeof suggestion === 'function' ? suggestion() : suggestion;
  },
});

const MOST_SHOWN = 40;

/** A value as it can be told, in one line. Only for fields that hold no secret by their nature. */
export function shown(value: unknown): string {
  if (typeof value === 'string') {
    return printableJson(shortened(value, MOST_SHOWN));
  }
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return kindOf(value);
}

/** What a value is, without saying which. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return 'a text';
  return typeof value === 'number' ? 'a number' : 'true or false';
}
