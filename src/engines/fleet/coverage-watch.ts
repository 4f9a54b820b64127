import type { EventToRecord, Ledger } from '../../adapters/ledger/ledger.js';
import { scanCountsForMs } from '../../core/coverage.js';
import type { Match } from '../../core/policy/policy.js';
import type { Logger } from '../../platform/telemetry.js';
import { comparable, globMatches, isLiteral } from '../../core/policy/glob.js';
import type { AgentsSeen } from '../../adapters/vendor/agents.js';
import { readCoverage, teamsCoverage, writeCoverage, type Coverage } from '../../adapters/ledger/coverage.js';
import type { Fleet } from './fleet.js';

const LOST_META = 'coverage-lost-since';
/** Agents that are named in the coverage, at most. */
const NAMED = 20;

export interface ScanSummary {
  readonly policyVersion: number;
  readonly scanMs: number;
  readonly durationMs: number;
  /** All agents that the key shows, those that no policy is about included. */
  readonly seen: AgentsSeen;
  readonly problem: string | null;
}

/**
 * Says how much of the fleet the last scan saw, and tells when some of it has not been seen for a while: sessions that
 * nobody sees are not ended, and their owners believe they are watched.
 */
export async function noteCoverage(
  ledger: Ledger,
  log: Logger,
  fleet: Fleet,
  rules: readonly { readonly match: Match }[],
  before: Coverage | null,
  summary: ScanSummary,
): Promise<Coverage> {
  const nowMs = await ledger.now();
  const unreadable = [...fleet.agents.values()].filter(({ scan }) => scan.problem !== null);
  const { seen } = summary;
  const complete = summary.problem === null && unreadable.length === 0 && seen.complete;
  const live = { processing: 0, queued: 0 };
  for (const { listed, facts } of fleet.sessions.values()) {
    if (!listed) continue;
    if (facts.timeline.state === 'processing') live.processing += 1;
    else if (facts.timeline.state === 'queued') live.queued += 1;
  }
  const coverage: Coverage = {
    atMs: nowMs,
    completeAtMs: complete ? nowMs : (before?.completeAtMs ?? null),
    durationMs: Math.round(summary.durationMs),
    scanMs: summary.scanMs,
    policyVersion: summary.policyVersion,
    agents: seen.own?.complete === true ? seen.agents.length : (before?.agents ?? seen.agents.length),
    unreadable: {
      count: unreadable.length,
      first: unreadable.slice(0, NAMED).map(({ agent, scan }) => ({
        agentId: agent.id,
        name: agent.name,
        problem: scan.problem ?? '',
      })),
    },
    notFound: notFoundNow(rules, seen, before),
    teams: teamsCoverage(seen.teams),
    live,
    problem: summary.problem,
  };
  await writeCoverage(ledger, coverage);
  await tellWhenLost(ledger, log, coverage, complete);
  return coverage;
}

/**
 * A scan that never ends tells nothing by itself. To be called now and then by who does not scan.
 *
 * @param enforcingForMs - since when this process has seen to it that policies are enforced; for a ledger where no scan ever ended
 * @param obstacle - what keeps the workflow over the fleet from running, as far as is known
 */
export async function tellWhenNoScanEnds(
  ledger: Ledger,
  log: Logger,
  enforcingForMs: number,
  obstacle: string | null,
): Promise<void> {
  const coverage = await readCoverage(ledger);
  const nowMs = await ledger.now();
  const sinceMs = coverage?.atMs ?? nowMs - enforcingForMs;
  if (nowMs - sinceMs < scanCountsForMs(coverage?.scanMs ?? 0)) return;
  if ((await ledger.meta.read(LOST_META))?.startsWith('told') === true) return;
  const why = obstacle === null ? '' : ` ${obstacle}`;
  const problem = `No scan has ended since ${new Date(sinceMs).toISOString()}.${why}`;
  await tellLost(ledger, log, sinceMs, { problem, unreadable: 0, agents: [] });
}

async function tellWhenLost(ledger: Ledger, log: Logger, coverage: Coverage, complete: boolean): Promise<void> {
  if (complete) {
    const noted = await ledger.meta.read(LOST_META);
    if (noted === null || !(await ledger.meta.drop(LOST_META))) return;
    // What nobody was told of needs no end.
    if (!noted.startsWith('told ')) return;
    await record(ledger, log, { kind: 'coverage-restored', data: { agents: coverage.agents } });
    return;
  }
  if (await ledger.meta.claim(LOST_META, `first ${coverage.atMs}`)) return;
  const noted = (await ledger.meta.read(LOST_META)) ?? '';
  const [, state = '', sinceText = ''] = /^(first|told) (\d+)$/.exec(noted) ?? [];
  const sinceMs = Number(sinceText);
  if (state !== 'first' || coverage.atMs - sinceMs < scanCountsForMs(coverage.scanMs)) return;
  const problem = coverage.problem ?? coverage.unreadable.first[0]?.problem ?? teamsProblem(coverage);
  const agents = coverage.unreadable.first.map(({ agentId, name }) => name ?? agentId);
  await tellLost(ledger, log, sinceMs, { problem, unreadable: coverage.unreadable.count, agents });
}

async function tellLost(ledger: Ledger, log: Logger, sinceMs: number, what: Record<string, unknown>): Promise<void> {
  const data = { ...what, since: new Date(sinceMs).toISOString() };
  // In this order: better told twice than not at all.
  await record(ledger, log, { kind: 'coverage-lost', data });
  await ledger.meta.replace(LOST_META, `told ${sinceMs}`);
}

async function record(ledger: Ledger, log: Logger, event: EventToRecord): Promise<void> {
  await ledger.recordEvents([event]);
  log[event.kind === 'coverage-lost' ? 'error' : 'info'](event.data ?? {}, event.kind);
}

function teamsProblem({ teams }: Coverage): string | null {
  if (teams?.problem != null) return `The teams can't be listed: ${teams.problem}`;
  const [first] = teams?.unreadable.first ?? [];
  return first === undefined ? null : `The agents of team ${first.name ?? first.id} can't be listed: ${first.problem}`;
}

/** What is missing from a list that failed may be there: then only those count that were not found before, and still are not. */
function notFoundNow(
  rules: readonly { readonly match: Match }[],
  seen: AgentsSeen,
  before: Coverage | null,
): readonly string[] {
  const notFound = namedButNotFound(rules, seen.agents);
  return seen.complete ? notFound : notFound.filter((name) => before?.notFound.includes(name) === true);
}

/**
 * Names in rules that no agent has: probably misspelt, or another team's. Of names with globs only those that are excluded: a
 * rule for agents that are still to come is common, an exclusion that fits nobody protects nobody.
 */
export function namedButNotFound(
  rules: readonly { readonly match: Match }[],
  agents: readonly { readonly id: string; readonly name: string | null }[],
): string[] {
  const known = agents.flatMap(({ id, name }) => (name === null ? [id] : [id, name]));
  const literals = new Set(known.map(comparable));
  const isFound = (pattern: string): boolean =>
    isLiteral(pattern) ? literals.has(comparable(pattern)) : known.some((text) => globMatches(pattern, text));
  const named = rules.flatMap(({ match }) => agentPatterns(match, false));
  const wanted = named.filter(({ pattern, excluded }) => excluded || isLiteral(pattern));
  return [...new Set(wanted.map(({ pattern }) => pattern))].filter((pattern) => !isFound(pattern)).sort();
}

interface NamedAgents {
  readonly pattern: string;
  /** It stands behind `not`. */
  readonly excluded: boolean;
}

function agentPatterns(match: Match, excluded: boolean): readonly NamedAgents[] {
  if ('all' in match) return match.all.flatMap((part) => agentPatterns(part, excluded));
  if ('any' in match) return match.any.flatMap((part) => agentPatterns(part, excluded));
  if ('not' in match) return agentPatterns(match.not, !excluded);
  return 'agents' in match ? match.agents.map((pattern) => ({ pattern, excluded })) : [];
}
