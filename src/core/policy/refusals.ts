/**
 * A call about one session that was refused. Which answers are refusals: `refusedIn` in `meaning.ts`.
 */
export interface Refused {
  readonly on: 'read' | 'cancel';
  readonly status: number;
  /** The vendor's code, or {@link FOR_NOW}; null: it gave none. */
  readonly code: string | null;
}

/** Stands for the code where the answer was not the vendor's own, or named a time to come again. */
export const FOR_NOW = 'refused-for-now';

/** The same refusal, met so many times. Times are the ledger's, ms. */
export interface Refusal extends Refused {
  readonly times: number;
  readonly sinceMs: number;
  readonly lastMs: number;
  /** It settled an order, and no cancel request for another session was accepted meanwhile: perhaps all were refused. */
  readonly alone?: true;
}

/** Refusals in so many forms are remembered of one session; a vendor that invents more must not fill a row. */
const MOST_FORMS = 8;

/**
 * Whether the same refusal, again a minute later, says that this session is not ours to end. A 401 never does: keys get
 * repaired. A 4xx other than 403 only does where it answers a cancel request, because then a read has just shown that the API
 * works, and the turn.
 */
export function tells({ on, status, code }: Refused): boolean {
  if (code === FOR_NOW || status === 401) return false;
  return on === 'cancel' || is403({ status });
}

/** The same 403 has the same code. What else is refused is alike, whatever its number. */
function isAlike(one: Refused, other: Refused): boolean {
  if (one.on !== other.on || tells(one) !== tells(other)) return false;
  return one.status === other.status ? one.status !== 403 || one.code === other.code : ![one, other].some(is403);
}

const is403 = ({ status }: Pick<Refused, 'status'>): boolean => status === 403;

/** Takes another refusal into what is remembered of a session. @param nowMs - ledger's clock */
export function noteRefusal(
  known: readonly Refusal[],
  { on, status, code }: Refused,
  nowMs: number,
): { readonly refusals: readonly Refusal[]; readonly refusal: Refusal } {
  const refused: Refused = { on, status, code };
  const before = known.find((one) => isAlike(one, refused));
  const others = known.filter((one) => one !== before);
  // A clock that was set back must not put the end off.
  const sinceMs = Math.min(before?.sinceMs ?? nowMs, nowMs);
  const refusal: Refusal = { ...refused, times: (before?.times ?? 0) + 1, sinceMs, lastMs: nowMs };
  return { refusals: [...others, refusal].slice(-MOST_FORMS), refusal };
}

/** What stays of the refusals when a call was accepted: a read says nothing of cancel requests. */
export const afterAccepted = (known: readonly Refusal[], on: Refused['on']): readonly Refusal[] =>
  known.filter((one) => on === 'read' && one.on === 'cancel');

/** The refusals of one session as several orders on it remember them, each from the first on. */
export function joinedRefusals(known: readonly (readonly Refusal[])[]): readonly Refusal[] {
  let joined: readonly Refusal[] = [];
  for (const one of known.flat()) {
    const same = joined.find((other) => isAlike(one, other));
    const rest = joined.filter((other) => other !== same);
    joined = [...rest, same === undefined || one.sinceMs < same.sinceMs ? one : same];
  }
  return joined;
}

/** Whether a refusal settles an order as `forbidden`: the same twice, so far apart at least. */
export const settlesOrder = (refusal: Refusal, apartMs: number): boolean =>
  tells(refusal) && refusal.times >= 2 && refusal.lastMs - refusal.sinceMs >= apartMs;
