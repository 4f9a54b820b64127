import { shell } from '../core/text/shell.js';
import pc from 'picocolors';
import type { Plan, PlannedPolicy, PlannedSession } from '../engines/fleet/plan.js';
import type { TriggerAtRisk } from '../engines/fleet/triggers-at-risk.js';
import { NEVER_SHOWN, teamsWords } from '../engines/fleet/teams-words.js';
import { trippedCap } from './obstacle-words.js';
import { span, table } from './output.js';
import { leftWords, standingDocument, verdictName, whyWords } from './standing-words.js';
import { counted, shorten } from './words.js';
import { iso } from '../core/times.js';
import { capital } from '../core/text/capital.js';

/** @param limit - sessions, the most urgent first */
export const planDocument = (
  { nowMs, policies, sessions, triggersAtRisk, coverage }: Plan,
  limit: number,
): unknown => ({
  now: iso(nowMs),
  policies: policies.map(({ policy, nextDueAtMs, ...counts }) => ({
    name: policy.name,
    mode: policy.mode,
    ...counts,
    nextDueAt: iso(nextDueAtMs),
  })),
  sessions: sessions.slice(0, limit).map(({ sessionId, agentId, agentName, facts, standings }) => ({
    sessionId,
    agentId,
    agentName,
    state: facts.timeline.state,
    verdicts: standings.map((standing) => standingDocument(standing)),
  })),
  triggersAtRisk,
  coverage: { ...coverage, sessionsConcerned: sessions.length },
});

export interface PlanView {
  readonly plan: Plan;
  readonly file: string;
  /** Sessions to show, the most urgent first. */
  readonly limit: number;
  /** Whether a ledger could be asked. */
  readonly withLedger: boolean;
}

export function planWords({ plan, file, limit, withLedger }: PlanView): string {
  const { nowMs, policies, sessions } = plan;
  return [
    `What ${file} would do now. Nothing was sent, nothing was changed.`,
    table(
      ['POLICY', 'MODE', 'SESSIONS', 'END NOW', 'IN GRACE', 'WARN', 'UNDECIDED', 'EXEMPT', 'NEXT DUE'],
      policies.map((planned) => policyRow(planned, nowMs)),
    ),
    ...policies.flatMap((planned) => cappedWords(planned) ?? []),
    ...plan.triggersAtRisk.map(triggerWords),
    ...(sessions.length === 0 ? ['No live session that any policy matches.'] : [sessionTable(sessions, nowMs, limit)]),
    coverageWords(plan, withLedger),
  ].join('\n\n');
}

function policyRow({ policy, nextDueAtMs, ...counts }: PlannedPolicy, nowMs: number): string[] {
  const numbers = [counts.matching, counts.endNow, counts.inGrace, counts.warned, counts.undecided, counts.exempt];
  const due = nextDueAtMs === null ? '' : nextDueAtMs <= nowMs ? 'now' : `in ${span(nextDueAtMs - nowMs)}`;
  return [policy.name, policy.mode, ...numbers.map((number) => (policy.mode === 'off' ? '' : String(number))), due];
}

function cappedWords({ policy, capped, breakerOpen }: PlannedPolicy): string | null {
  if (breakerOpen) {
    return pc.yellow(
      `The breaker of ${policy.name} is open: it only observes until \`${shell`curfew policy resume ${policy.name}`}\`.`,
    );
  }
  if (capped === null) return null;
  return pc.yellow(
    `The caps of ${policy.name} would stop it after ${capped.after} of ${capped.of} (${trippedCap(capped.reason)}).`,
  );
}

/** The caps may stop it before: the warning counts what the limits alone would end. */
function triggerWords({ agentId, triggerId, endNow, endedBefore, maxFailures }: TriggerAtRisk): string {
  const before = endedBefore === 0 ? '' : `, after ${endedBefore} in the last week`;
  const most =
    maxFailures === null
      ? 'some failed runs in a row (usually 3)'
      : `${maxFailures} failed ${maxFailures === 1 ? 'run' : 'runs in a row'}`;
  return pc.yellow(
    `This would end ${endNow} ${endNow === 1 ? 'session' : 'sessions'} of trigger ${triggerId} of agent ${agentId} now${before}. The vendor switches a trigger off after ${most}, and may count a cancelled run as failed.`,
  );
}

function sessionTable(sessions: readonly PlannedSession[], nowMs: number, limit: number): string {
  const rows = sessions
    .slice(0, limit)
    .map(({ sessionId, agentId, agentName, standings: [first] }) => [
      sessionId,
      shorten(agentName ?? agentId, 24),
      first?.policy.name ?? '',
      first === undefined ? '' : verdictName(first),
      first === undefined ? '' : shorten(whyWords(first), 90),
      first === undefined ? '' : leftWords(first, nowMs),
    ]);
  const text = table(['SESSION', 'AGENT', 'POLICY', 'VERDICT', 'WHY', 'LEFT'], rows);
  const rest = sessions.length - rows.length;
  return rest > 0 ? `${text}\n… and ${rest} more that are further away (--limit)` : text;
}

function coverageWords({ coverage }: Plan, withLedger: boolean): string {
  const { agents, agentsNotConcerned, unreadable, notFound, teams, live, retrieves, problem } = coverage;
  const { seen, missing } = teamsWords(teams);
  const lines = [
    `Coverage: ${counted(agents, 'agent')} (${agentsNotConcerned} that no policy matches), live: ${live.processing} processing, ${live.queued} queued.`,
  ];
  lines.push(`Looked at: ${seen}.`);
  if (problem !== null) lines.push(pc.yellow(`The list of agents is not complete: ${problem}`));
  lines.push(...missing.map((text) => pc.yellow(`Not seen: ${text}.`)), pc.dim(`${capital(NEVER_SHOWN)}.`));
  for (const { agentId, name, problem: why } of unreadable.slice(0, 10)) {
    lines.push(pc.yellow(`Not readable: ${name ?? agentId}: ${why}`));
  }
  if (unreadable.length > 10)
    lines.push(pc.yellow(`… and ${counted(unreadable.length - 10, 'more agent')} that can't be read.`));
  if (notFound.length > 0) {
    lines.push(pc.yellow(`Named in the file, but the key shows no such agent: ${notFound.join(', ')}`));
  }
  const asked = retrieves.done + retrieves.failed;
  if (asked < retrieves.wanted) {
    lines.push(
      pc.yellow(
        `${retrieves.wanted} ${retrieves.wanted === 1 ? 'session needs' : 'sessions need'} a closer look; stopped after ${asked} (--max-retrieves). The others count as undecided.`,
      ),
    );
  }
  if (retrieves.failed > 0) lines.push(pc.yellow(`${counted(retrieves.failed, 'session')} could not be read.`));
  if (!withLedger) lines.push('No ledger here: only their messages say how long sessions have been running.');
  return lines.join('\n');
}
