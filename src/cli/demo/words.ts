import pc from 'picocolors';
import { table } from '../output.js';
import { LEFT_ALONE, type Verdict } from './verdict.js';

/** How many sessions had which end, the most frequent first. */
export function totalsOf(verdicts: readonly Verdict[]): Readonly<Record<string, number>> {
  const totals = new Map<string, number>();
  for (const { end } of verdicts) totals.set(end, (totals.get(end) ?? 0) + 1);
  return Object.fromEntries([...totals].sort(([, a], [, b]) => b - a));
}

/** The tables at the end, within 80 columns while all agree. */
export function demoWords(
  { byHand, fleet, bulk }: { readonly [Act in 'byHand' | 'fleet' | 'bulk']: readonly Verdict[] },
  seconds: number,
): string {
  const all = [...byHand, ...fleet, ...bulk];
  const problems = all.flatMap(({ sessionId, problems: found }) => found.map((text) => `${sessionId}: ${text}`));
  return [
    '',
    pc.bold('By hand'),
    verdictTable(byHand),
    '',
    pc.bold('By policy'),
    verdictTable(fleet),
    totalWords(fleet),
    '',
    pc.bold('By plan'),
    totalTable(bulk),
    '',
    ...problems.map((text) => pc.red(text)),
    problems.length === 0
      ? `All ${all.length} agree, after ${seconds} s. Next: README.md, "With a real key".`
      : 'They do not agree: this is a bug in Curfew or its simulator.',
  ].join('\n');
}

/** "30 sessions: 15 cancelled; left alone: 10 it ended, 2 exempt" */
function totalWords(verdicts: readonly Verdict[]): string {
  const totals = Object.entries(totalsOf(verdicts));
  const alone = totals.filter(([end]) => end.startsWith(LEFT_ALONE));
  const ordered = totals.filter(([end]) => !end.startsWith(LEFT_ALONE));
  const list = (ends: typeof totals): string =>
    ends.map(([end, count]) => `${count} ${end.replace(LEFT_ALONE, '')}`).join(', ');
  return `${verdicts.length} sessions: ${list(ordered)}; ${LEFT_ALONE}${list(alone)}`;
}

const verdictTable = (verdicts: readonly Verdict[]): string =>
  table(
    ['SESSION', 'CURFEW SAYS', 'SENT', 'THE SIMULATOR KNOWS', ''],
    verdicts.map(({ sessionId, says, requests, knows, agree }) => [
      sessionId,
      says,
      String(requests),
      knows,
      agree ? pc.green('agree') : pc.red('DISAGREE'),
    ]),
  );

/** Too many for a row each: a row for each end. */
const totalTable = (verdicts: readonly Verdict[]): string =>
  table(
    ['CURFEW SAYS', 'SESSIONS', 'SENT', 'ARRIVED', 'THE SIMULATOR'],
    Object.entries(totalsOf(verdicts)).map(([end, count]) => {
      const mine = verdicts.filter((verdict) => verdict.end === end);
      const sum = (of: (verdict: Verdict) => number): string => String(mine.reduce((total, one) => total + of(one), 0));
      const agreeing = mine.filter(({ agree }) => agree).length;
      const words = agreeing === count ? pc.green('agrees') : pc.red(`DISAGREES on ${count - agreeing}`);
      return [end, String(count), sum(({ requests }) => requests), sum((one) => one.requestsReceived), words];
    }),
  );
