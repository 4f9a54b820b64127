import type { RunningExemption } from '../adapters/ledger/exemptions.js';
import { iso, wholeSeconds } from '../core/times.js';
import { span, table } from './output.js';
import { counted } from './words.js';

/** Exemptions in force, the first to end first; of many, only the first. */
export interface ExemptionsInForce {
  readonly total: number;
  readonly exemptions: readonly RunningExemption[];
}

/** What `curfew status --json` says of them. */
export const exemptionsSummary = ({ total, exemptions: [first] }: ExemptionsInForce) => ({
  inForce: total,
  firstEnds: first === undefined ? null : { sessionId: first.sessionId, at: iso(first.untilMs) },
});

/** The same in a line; null: there are none. */
export function exemptWords({ total, exemptions: [first] }: ExemptionsInForce, nowMs: number): string | null {
  if (first === undefined) return null;
  const ends = `${wholeSeconds(iso(first.untilMs))} (in ${span(first.untilMs - nowMs)})`;
  const which = total === 1 ? `${first.sessionId}, until ${ends}` : `the first ends ${ends}`;
  return `${counted(total, 'exemption')}: ${which}. All: curfew exempt list`;
}

export const exemptionDocument = ({ sessionId, untilMs, reason, by, sinceMs }: RunningExemption) => ({
  ...{ sessionId, until: iso(untilMs), reason, by, since: iso(sinceMs) },
});

export function exemptionsTable({ total, exemptions, nowMs }: ExemptionsInForce & { readonly nowMs: number }): string {
  if (total === 0) return 'No session is exempt. To leave one alone: curfew exempt ID --for 2h --reason "…"';
  const rows = exemptions.map(({ sessionId, untilMs, reason, by, sinceMs }) => [
    sessionId,
    `${wholeSeconds(iso(untilMs))} (in ${span(untilMs - nowMs)})`,
    by,
    wholeSeconds(iso(sinceMs)),
    reason ?? '–',
  ]);
  const left = total - exemptions.length;
  return [
    table(['SESSION', 'UNTIL', 'BY', 'SINCE', 'WHY'], rows),
    '',
    `${counted(total, 'exemption')} in force${left > 0 ? `; ${left} not shown, --limit shows more` : ''}. To end one: curfew unexempt ID`,
  ].join('\n');
}
