import { findMark, type Assessment, type Reason, type Verdict } from './assess.js';
import type { Facts, Mark } from './facts.js';
import { scopeOf } from './limits.js';

/**
 * Adds to the facts what an assessment of them said: since when a limit is broken (grace counts from there), and what was
 * said already. Store the result before you act on the assessment, or the same is said again after a crash.
 *
 * Give it an assessment by all policies in force: what others said is forgotten.
 *
 * @returns the same object when there is nothing to add
 */
export function remember(facts: Facts, { verdicts }: Assessment): Facts {
  if (facts.marks.length === 0 && !verdicts.some(speaks)) return facts;
  const marks: Mark[] = [];
  for (const verdict of verdicts) {
    const said = speaks(verdict) ? verdict.reasons.flatMap((reason) => markOf(verdict, reason, facts) ?? []) : [];
    const before = facts.marks.filter((mark) => mark.policy === verdict.policy && lasts(mark, facts));
    marks.push(...said, ...before.filter((mark) => !said.some((other) => isSameMark(mark, other))));
  }
  return JSON.stringify(marks) === JSON.stringify(facts.marks) ? facts : { ...facts, marks };
}

const speaks = ({ kind }: Verdict): boolean => kind === 'warn' || kind === 'cancel';

const lasts = (mark: Mark, facts: Facts): boolean => mark.scope === scopeOf(mark.limit, facts);

const isSameMark = (a: Mark, b: Mark): boolean => a.limit === b.limit && a.limitValue === b.limitValue;

function markOf({ policy, kind }: Verdict, reason: Reason, facts: Facts): Mark | null {
  if (reason.level !== 'broken' && reason.level !== 'near') return null;
  const mark = findMark(facts.marks, policy, reason);
  const seenAtMs = facts.timeline.turn?.confirmedAtMs ?? facts.timeline.seenAtMs;
  const says = (other: Verdict['kind']): number | null => (kind === other ? seenAtMs : null);
  return {
    policy,
    limit: reason.limit,
    limitValue: reason.limitValue,
    scope: reason.scope,
    warnedAtMs: mark?.warnedAtMs ?? says('warn'),
    brokenAtMs: mark?.brokenAtMs ?? reason.brokenAtMs,
    cancelSaidAtMs: mark?.cancelSaidAtMs ?? (reason.level === 'broken' ? says('cancel') : null),
  };
}
