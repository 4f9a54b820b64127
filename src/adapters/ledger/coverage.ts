import type { Ledger } from './ledger.js';
import type { TeamProblem, TeamSeen, TeamsSeen, TeamsSource } from '../vendor/agents.js';

const COVERAGE_META = 'coverage';

/** Teams that are named one by one, at most. */
const NAMED = 20;

/** Which teams' agents a look at the fleet saw, and which not. */
export interface TeamsCoverage {
  readonly source: TeamsSource;
  /** Why the list of teams could not be read; null unless the source is `failed`. */
  readonly problem: string | null;
  /** Teams whose agents were all listed: how many, and the first of them. */
  readonly watched: { readonly count: number; readonly first: readonly TeamSeen[] };
  /** Teams of the caller's whose agents could not all be listed. */
  readonly unreadable: { readonly count: number; readonly first: readonly TeamProblem[] };
  /** Teams that a policy names, and that the key does not show. */
  readonly notShown: readonly TeamProblem[];
  /** Teams of the caller's that no policy can be about. */
  readonly notConcerned: number;
}

export const teamsCoverage = ({ source, problem, seen, unreadable, ...rest }: TeamsSeen): TeamsCoverage => ({
  ...{ source, problem },
  watched: { count: seen.length, first: seen.slice(0, NAMED) },
  unreadable: { count: unreadable.length, first: unreadable.slice(0, NAMED) },
  notShown: rest.notShown,
  notConcerned: rest.notConcerned,
});

/** How much of the fleet the last scan saw. Times are the ledger's clock, ms since the Unix epoch. */
export interface Coverage {
  /** End of the last scan. */
  readonly atMs: number;
  /** End of the last scan that could read everything; null: none yet. */
  readonly completeAtMs: number | null;
  readonly durationMs: number;
  readonly scanMs: number;
  /** Version of the policies that it judged by. */
  readonly policyVersion: number;
  readonly agents: number;
  /** Agents whose sessions could not be listed: how many, and the first of them. */
  readonly unreadable: {
    readonly count: number;
    readonly first: readonly { readonly agentId: string; readonly name: string | null; readonly problem: string }[];
  };
  /** Names of agents in policies and cleanups that no agent has which the key shows; with wildcards only those of exclusions. */
  readonly notFound: readonly string[];
  /** Null: the last scan was that of an older Curfew, which knew of no teams. */
  readonly teams: TeamsCoverage | null;
  readonly live: { readonly processing: number; readonly queued: number };
  /** Why there was no scan at all, for people: no agents could be listed, for example. */
  readonly problem: string | null;
}

/** Nothing of the fleet could be read: perhaps it is this worker that the vendor can't be reached from. */
export const sawNothing = ({ problem, agents, unreadable }: Coverage): boolean =>
  problem !== null || (agents > 0 && unreadable.count >= agents);

export async function readCoverage(ledger: Ledger): Promise<Coverage | null> {
  const text = await ledger.meta.read(COVERAGE_META);
  return text === null ? null : { teams: null, ...(JSON.parse(text) as Omit<Coverage, 'teams'>) };
}

export const writeCoverage = (ledger: Ledger, coverage: Coverage): Promise<void> =>
  ledger.meta.replace(COVERAGE_META, JSON.stringify(coverage));
