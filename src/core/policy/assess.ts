import type { Facts, Mark } from './facts.js';
import { readLimits, scopeOf } from './limits.js';
import { RETRIEVE_SPACING_MS, type Reading } from './reading.js';
import { matchVerdict } from './match.js';
import type { Policy, PolicyMode } from './policy.js';
import { reasonText } from './reason.js';
import { flightOf } from './state.js';

/** What all policies say about one session. */
export interface Assessment {
  readonly verdicts: readonly Verdict[];
  /** Vendor time, ms, of the next look that can change a verdict; null: no policy has anything to look for. */
  readonly nextLookAt: number | null;
  /** Some verdict waits for a retrieve, and it is time for one. */
  readonly needsRetrieve: boolean;
}

/** What one policy says about one session, and about which turn. */
export interface Verdict {
  readonly policy: string;
  readonly mode: PolicyMode;
  readonly kind: VerdictKind;
  /** `cancel` of a policy that does not enforce: it would. */
  readonly would: boolean;
  /** `warn` or `cancel` that was not said before, as far as `remember` was told. */
  readonly isNew: boolean;
  /** The turn that is meant; null while no retrieve has named it. Never null in `warn` and `cancel`. */
  readonly turnKey: string | null;
  readonly turnStartedAtMs: number | null;
  /** Limits that are broken, near or undecided: the one broken first comes first, and is what the verdict rests on. */
  readonly reasons: readonly Reason[];
  /** Why it is as it is, where no limit says it. */
  readonly note: Note | null;
  readonly nextLookAt: number | null;
  readonly needsRetrieve: boolean;
}

/**
 * - `keep`: nothing to do
 * - `warn`: a limit is near, or it is broken and grace is not over
 * - `cancel`: a limit is broken and grace is over
 * - `undecided`: what is known does not say; nothing is done
 * - `not-matching`: the policy is off or not about this session
 */
type VerdictKind = 'keep' | 'warn' | 'cancel' | 'undecided' | 'not-matching';

type Note = 'exempt' | 'at-rest' | 'paused' | 'state-unknown' | 'match-unknown' | 'in-grace';

export interface Reason extends Reading {
  readonly text: string;
  /** First seen broken, vendor time in ms; null: not broken. */
  readonly brokenAtMs: number | null;
  readonly scope: string;
}

export interface AssessOptions {
  /** Time between two scans of the session's agent, ms. */
  readonly scanMs: number;
  /** No policy may end this session now. */
  readonly exempt?: boolean;
  /** Scans go on by themselves: `nextLookAt` is only about looks that can't wait for the next one. */
  readonly scanned?: boolean;
}

/**
 * Judges a session by what is known of it. Pure: the same arguments give the same answer.
 *
 * @param nowMs - vendor time, ms, not before the newest observation. It only decides when to look: what counts for a verdict
 *   is what was seen, so a clock that jumps condemns nobody
 */
export function assess(facts: Facts, policies: readonly Policy[], nowMs: number, options: AssessOptions): Assessment {
  const verdicts = policies.map((policy) => assessPolicy(facts, policy, nowMs, options));
  let nextLookAt: number | null = null;
  let needsRetrieve = false;
  for (const verdict of verdicts) {
    nextLookAt = earlier(nextLookAt, verdict.nextLookAt);
    needsRetrieve ||= verdict.needsRetrieve;
  }
  return { verdicts, nextLookAt, needsRetrieve };
}

export function assessPolicy(
  facts: Facts,
  policy: Policy,
  nowMs: number,
  { scanMs, exempt = false, scanned = false }: AssessOptions,
): Verdict {
  const isMatch = policy.mode === 'off' ? false : matchVerdict(policy.match, facts.subject);
  if (isMatch === false) return verdictOf(facts, policy, 'not-matching');

  const { state } = facts.timeline;
  const flight = flightOf(state);
  if (flight === 'at-rest') return verdictOf(facts, policy, 'keep', { note: 'at-rest' });
  if (flight === 'unclear') {
    const isPause = state === 'approval_required' || state === 'idle';
    return isPause
      ? verdictOf(facts, policy, 'keep', { note: 'paused' })
      : verdictOf(facts, policy, 'undecided', { note: 'state-unknown' });
  }

  const readings = readLimits(facts, policy, nowMs, scanMs);
  const reasons = reasonsOf(readings, facts, policy);
  if (exempt) return verdictOf(facts, policy, 'keep', { note: 'exempt', reasons });

  const looks = looksOf(readings, facts, nowMs, scanned ? null : scanMs);
  if (isMatch === null) {
    // A retrieve tells more about a session than a list does, but only once.
    const needsRetrieve = facts.timeline.retrievedAtMs === null && (looks.needsRetrieve || reasons.length > 0);
    return verdictOf(facts, policy, 'undecided', { note: 'match-unknown', reasons, ...looks, needsRetrieve });
  }
  return judge(facts, policy, reasons, looks, nowMs);
}

interface Looks {
  readonly nextLookAt: number | null;
  readonly needsRetrieve: boolean;
}

function judge(facts: Facts, policy: Policy, reasons: readonly Reason[], looks: Looks, nowMs: number): Verdict {
  const brokenAts = reasons.flatMap(({ brokenAtMs }) => (brokenAtMs === null ? [] : [brokenAtMs]));
  if (brokenAts.length > 0) {
    const graceEndMs = Math.min(...brokenAts) + policy.graceMs;
    const seenAtMs = facts.timeline.turn?.confirmedAtMs ?? -Infinity;
    // Seen still broken when grace is over: a turn that ended in time is not judged afterwards.
    if (seenAtMs >= graceEndMs) return verdictOf(facts, policy, 'cancel', { reasons, ...looks });
    const lookAtMs = Math.max(graceEndMs, (facts.timeline.retrievedAtMs ?? -Infinity) + RETRIEVE_SPACING_MS);
    return verdictOf(facts, policy, 'warn', {
      note: 'in-grace',
      reasons,
      nextLookAt: earlier(looks.nextLookAt, lookAtMs),
      needsRetrieve: looks.needsRetrieve || nowMs >= lookAtMs,
    });
  }
  if (reasons.some(({ level }) => level === 'near')) return verdictOf(facts, policy, 'warn', { reasons, ...looks });
  if (reasons.length > 0) return verdictOf(facts, policy, 'undecided', { reasons, ...looks });
  return verdictOf(facts, policy, 'keep', looks);
}

function verdictOf(
  { timeline, marks }: Facts,
  policy: Policy,
  kind: VerdictKind,
  more: Partial<Pick<Verdict, 'note' | 'reasons' | 'nextLookAt' | 'needsRetrieve'>> = {},
): Verdict {
  const reasons = more.reasons ?? [];
  return {
    policy: policy.name,
    mode: policy.mode,
    kind,
    would: kind === 'cancel' && policy.mode !== 'enforce',
    isNew: isNews(kind, policy.name, reasons, marks),
    turnKey: timeline.turn?.key ?? null,
    turnStartedAtMs: timeline.turn?.startedAtMs ?? null,
    reasons,
    note: more.note ?? null,
    nextLookAt: more.nextLookAt ?? null,
    needsRetrieve: more.needsRetrieve ?? false,
  };
}

/** Said before about any of the limits that speak now: then nobody needs to hear it again in this turn. */
function isNews(kind: VerdictKind, policy: string, reasons: readonly Reason[], marks: readonly Mark[]): boolean {
  if (kind !== 'warn' && kind !== 'cancel') return false;
  return !reasons.some((reason) => {
    const mark = findMark(marks, policy, reason);
    return mark !== undefined && (kind === 'warn' ? mark.warnedAtMs : mark.cancelSaidAtMs) !== null;
  });
}

export const findMark = (
  marks: readonly Mark[],
  policy: string,
  { limit, limitValue, scope }: Pick<Reason, 'limit' | 'limitValue' | 'scope'>,
): Mark | undefined =>
  marks.find(
    (mark) => mark.policy === policy && mark.limit === limit && mark.limitValue === limitValue && mark.scope === scope,
  );

function reasonsOf(readings: readonly Reading[], facts: Facts, policy: Policy): readonly Reason[] {
  const reasons: Reason[] = [];
  for (const reading of readings) {
    if (reading.level === 'within') continue;
    const scope = scopeOf(reading.limit, facts);
    const mark = findMark(facts.marks, policy.name, { ...reading, scope });
    const seenBrokenAtMs = reading.level === 'broken' ? (facts.timeline.turn?.confirmedAtMs ?? null) : null;
    const brokenAtMs = seenBrokenAtMs === null ? null : (mark?.brokenAtMs ?? seenBrokenAtMs);
    reasons.push({ ...reading, scope, brokenAtMs, text: reasonText(reading) });
  }
  return reasons.sort((a, b) => WEIGHT[a.level] - WEIGHT[b.level] || (a.brokenAtMs ?? 0) - (b.brokenAtMs ?? 0));
}

const WEIGHT = { broken: 0, near: 1, undecided: 2, within: 3 } as const;

/**
 * Deadlines have their exact time. Usage has none, so it is looked at when the next scan brings news of it.
 *
 * @param scanMs - null: the scan comes by itself
 */
function looksOf(readings: readonly Reading[], { timeline }: Facts, nowMs: number, scanMs: number | null): Looks {
  const nextScanMs = scanMs === null ? null : (timeline.seenAtMs + scanMs > nowMs ? timeline.seenAtMs : nowMs) + scanMs;
  let nextLookAt: number | null = null;
  let needsRetrieve = false;
  for (const reading of readings) {
    nextLookAt = earlier(nextLookAt, reading.lookAtMs ?? nextScanMs);
    needsRetrieve ||= reading.needsRetrieve;
  }
  return { nextLookAt, needsRetrieve };
}

const earlier = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.min(a, b);
