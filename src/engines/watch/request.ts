import { readDuration } from '../../core/duration.js';
import { suggestionIn, suggestionText } from '../../core/policy-file/finding.js';
import * as z from 'zod';
import type { WatchRegistration } from '../../adapters/ledger/watches.js';
import { leaf } from '../../core/policy-file/leaf.js';
import { bad, kindOf, shown, type Reading } from '../../core/policy-file/reading.js';
import { didYouMean } from '../../core/policy-file/suggest.js';
import { readAmount } from '../../core/policy-file/units.js';
import { readSessionId, readText } from '../../core/policy-file/values.js';
import { limitChanges, WATCH_LIMIT_NAMES, WATCH_LIMITS, type WatchLimitName } from './limits.js';

/** A request of someone else's code that can't be carried out as it is. Trying again does not help. */
export class InvalidWatchError extends Error {
  override readonly name = 'InvalidWatchError';

  /**
   * @param field - as in `limits.maxRuntime`; empty for the request as a whole
   * @param next - what to write instead
   */
  constructor(
    readonly field: string,
    readonly problem: string,
    readonly next: string,
  ) {
    super(`${field === '' ? 'The request' : field} ${problem}. ${next}`);
  }
}

/** Whose watch it is, when its registration does not say. */
const NOBODY_NAMED = 'a service that gave no name';
const EXAMPLE = 'For example: limits: { maxRuntime: "20m", maxCredits: 500 }';

/** One limit as it is written: "20m" or 500. @returns ms, or an amount */
export function readLimit(name: WatchLimitName, value: unknown): Reading<number> {
  const { unit } = WATCH_LIMITS[name];
  if (unit === 'ms') return readDuration(value);
  if (typeof value === 'number' && value <= 0) return bad(`is ${value}, but must be more than 0`);
  return readAmount(value, unit === 'tokens');
}

const limit = (name: WatchLimitName) =>
  leaf((value) => readLimit(name, value), { description: name, examples: [name.includes('Time') ? '5m' : '20m'] });
const line = (description: string) => leaf(readText, { description });
const limitShape = <T>(shape: (name: WatchLimitName) => T) =>
  Object.fromEntries(WATCH_LIMIT_NAMES.map((name) => [name, shape(name)])) as Record<WatchLimitName, T>;

const described = { reason: line('reason').optional(), requestedBy: line('requestedBy').optional() };
const registrationSchema = z.strictObject({
  sessionId: leaf(readSessionId, { description: 'sessionId', examples: ['sess_xYz789AbCd'] }),
  limits: z.strictObject(limitShape((name) => limit(name).optional())),
  ...described,
});
const extensionSchema = z.strictObject({
  limits: z.strictObject(limitShape((name) => limit(name).nullable().optional())),
  ...described,
});
const releaseSchema = z.strictObject(described);

/** Reads what a watch is registered with. @throws InvalidWatchError that names the field */
export function readRegistration(request: unknown): WatchRegistration {
  const { sessionId, limits, reason, requestedBy } = parsed(registrationSchema, request);
  return named(sessionId, limits, reason, requestedBy);
}

/** Reads other limits for an open watch. @throws InvalidWatchError that names the field */
export function readExtension(sessionId: string, request: unknown): WatchRegistration {
  const { limits, reason, requestedBy } = parsed(extensionSchema, request);
  return named(sessionId, limits, reason, requestedBy);
}

/** @throws InvalidWatchError that names the field */
export function readRelease(request: unknown): { readonly by: string; readonly reason: string | null } {
  const { reason, requestedBy } = parsed(releaseSchema, request ?? {});
  return { by: requestedBy ?? NOBODY_NAMED, reason: reason ?? null };
}

export const noLimitLeft = (): InvalidWatchError => new InvalidWatchError('limits', 'hold no limit', EXAMPLE);

function named(
  sessionId: string,
  limits: { readonly [K in WatchLimitName]?: number | null | undefined },
  reason: string | undefined,
  requestedBy: string | undefined,
): WatchRegistration {
  const changes = limitChanges(limits);
  if (Object.keys(changes).length === 0) throw noLimitLeft();
  return { sessionId, limits: changes, reason: reason ?? null, requestedBy: requestedBy ?? NOBODY_NAMED };
}

function parsed<T extends z.ZodType>(schema: T, request: unknown): z.output<T> {
  const result = schema.safeParse(request);
  if (result.success) return result.data;
  throw problemOf(result.error.issues[0], request);
}

function problemOf(issue: z.core.$ZodIssue | undefined, request: unknown): InvalidWatchError {
  const path = (issue?.path ?? []).map(String);
  const field = path.join('.');
  switch (issue?.code) {
    case 'unrecognized_keys': {
      const key = issue.keys[0] ?? '';
      const known = path[0] === 'limits' ? WATCH_LIMIT_NAMES : ['sessionId', 'limits', 'reason', 'requestedBy'];
      const next = didYouMean(key, known) ?? `There are: ${known.join(', ')}.`;
      return new InvalidWatchError([...path, key.slice(0, 80)].join('.'), 'is not known', next);
    }
    case 'custom':
      return new InvalidWatchError(field, issue.message, suggestionText(suggestionIn(issue)) ?? EXAMPLE);
    default: {
      const value = path.reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], request);
      const problem = value === undefined ? 'is missing' : `is ${shown(value)}, but must be a mapping`;
      return new InvalidWatchError(field, value === null ? `is ${kindOf(value)}` : problem, EXAMPLE);
    }
  }
}
