import { FOR_NOW, tells, type Refused } from './refusals.js';

/** What went wrong with one call to the vendor, as far as a caller has to tell it apart. */
export type FailureKind =
  | 'unauthorized'
  | 'forbidden'
  | 'account-forbidden'
  | 'refused-for-now'
  | 'not-found'
  | 'conflict'
  | 'rate-limited'
  | 'failed-to-abort'
  | 'server-error'
  | 'timeout'
  | 'connection-failed'
  | 'connection-lost'
  | 'unreadable'
  | 'redirected'
  | 'bad-request'
  | 'no-credential'
  | 'aborted';

/** A call that failed, as far as its meaning depends on it. */
export interface FailedCall {
  readonly kind: FailureKind;
  readonly operation: string;
  readonly status: number | null;
  readonly code: string | null;
  /** The request may have left. */
  readonly sent: boolean;
}

/**
 * What the failure of a read or of a cancel request means for the session that it was about.
 *
 * - `too-many`: 429. Nothing is known of the session; where it was not `asked`, an earlier 429 held the request back
 * - `account`: every session is refused alike; told once, and tried again until the key works
 * - `unclear`: refused, and whether for the account's sake can't be told now
 * - `not-found`: nothing there under this id, or no longer
 * - `refused`: this session is. `lasts`: the same again a minute later settles its order
 * - `failed`: the API, the network, or a request that may have had effect
 */
export type Meaning =
  | { readonly kind: 'too-many'; readonly asked: boolean }
  | { readonly kind: 'account' | 'unclear' | 'not-found' | 'failed' }
  | { readonly kind: 'refused'; readonly lasts: boolean };

/**
 * @param concernsAccount - whether it is about the account, as far as that could be found out; null: it could not
 */
export function meaningOf(failed: FailedCall, concernsAccount: boolean | null): Meaning {
  if (failed.kind === 'rate-limited') return { kind: 'too-many', asked: failed.sent };
  if (concernsAccount !== false) return { kind: concernsAccount === true ? 'account' : 'unclear' };
  if (failed.kind === 'not-found') return { kind: 'not-found' };
  const refused = refusedIn(failed);
  return refused === null ? { kind: 'failed' } : { kind: 'refused', lasts: tells(refused) };
}

/** Kinds of failure that refuse a call as it is. A session that a read does not find is no failure, but a sighting. */
const REFUSES: ReadonlySet<FailureKind> = new Set([
  'forbidden',
  'account-forbidden',
  'unauthorized',
  'refused-for-now',
  'bad-request',
  'not-found',
]);

/** What a failed call refused for its session; null: it failed in another way, or was never sent. */
export function refusedIn({ kind, operation, status, code }: FailedCall): Refused | null {
  if (!REFUSES.has(kind) || status === null) return null;
  if (operation !== 'retrieveSession' && operation !== 'cancelSession') return null;
  const on = operation === 'cancelSession' ? 'cancel' : 'read';
  return { on, status, code: kind === 'refused-for-now' ? FOR_NOW : code };
}
