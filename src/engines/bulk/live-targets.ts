import pMap from 'p-map';
import { listVisibleAgents } from '../../adapters/vendor/agents.js';
import { PAGE_SIZE, pages, refusesAccount } from '../../adapters/vendor/listing.js';
import { isLiteral, globMatches } from '../../core/policy/glob.js';
import { isSessionId, type Agent, type ListAgentsOptions, type ListTeamsOptions } from '../../adapters/vendor/index.js';
import {
  createJudge,
  type FleetAccess,
  type FoundTarget,
  type JudgeDependencies,
  type JudgeTally,
  type Page,
} from './judge-page.js';
import { patiently, untilAborted } from '../../adapters/vendor/patience.js';
import { agentsFor, concernsNone, LIVE_STATES, type Criteria } from './selection.js';

export type { FleetAccess };

const AGENTS_AT_ONCE = 8;
/** So many targets of an agent are held back until those before it are written. */
const HELD_BACK = 1_000;
const NAMED_AT_MOST = 10;

export interface FindOptions {
  /** Retrieves at most; sessions that would need one more are left out, and told as a gap. */
  readonly maxRetrieves: number;
  readonly signal: AbortSignal;
  /** Takes targets, in the order of agents. The next ones come when it is done. */
  readonly take: (targets: readonly FoundTarget[]) => Promise<void>;
  readonly onProgress: (progress: FindProgress) => void;
}

export interface FindProgress {
  readonly agents: number;
  readonly agentsListed: number;
  readonly retrieves: number;
}

export interface Found {
  /** Live sessions that were listed, in the states that were asked for. A session may count twice while it changes its state. */
  readonly live: number;
  readonly agentNames: ReadonlyMap<string, string | null>;
  /** All lists were read whole. */
  readonly complete: boolean;
  /** Why sessions may be missing, for people. */
  readonly gaps: readonly string[];
  /** Sessions that fit otherwise, and were left out for their creator. */
  readonly exceptCreators: number;
  /** Excepted sessions that were listed. */
  readonly exceptSessions: ReadonlySet<string>;
}

/** What is counted while agents are listed. */
interface Tally extends JudgeTally {
  live: number;
  agentsListed: number;
  readonly unlisted: { readonly agent: Agent; readonly problem: string }[];
}

/**
 * Finds the live sessions that fit. Reads only: lists, and a retrieve where they don't tell. What is held in memory is
 * a few pages of each of {@link AGENTS_AT_ONCE} agents.
 *
 * @throws SessionsError when no agents can be listed at all, or the account is refused
 */
export async function findLive(deps: JudgeDependencies, criteria: Criteria, options: FindOptions): Promise<Found> {
  const failing = new AbortController();
  const signal = AbortSignal.any([options.signal, failing.signal]);
  const fleet: JudgeDependencies = { ...deps, limiter: untilAborted(deps.limiter, signal) };
  const listed = await agentsToList(fleet, criteria, signal);
  const tally: Tally = {
    live: 0,
    agentsListed: 0,
    retrieves: 0,
    unreadSessions: 0,
    overLimit: 0,
    undecided: 0,
    untimed: 0,
    exceptCreators: 0,
    exceptSessions: new Set(),
    unlisted: [],
  };
  const report = (): void => {
    const { agentsListed, retrieves } = tally;
    options.onProgress({ agents: listed.agents.length, agentsListed, retrieves });
  };
  const judge = createJudge(fleet, criteria, { ...options, signal }, tally, report);

  let failure: { readonly error: unknown } | null = null;
  let before = Promise.resolve();
  report();
  await pMap(
    listed.agents,
    async (agent) => {
      const myTurn = before;
      let passOn = (): void => undefined;
      before = new Promise<void>((resolve) => (passOn = resolve));
      let held: FoundTarget[] = [];
      const hand = async (): Promise<void> => {
        await myTurn;
        signal.throwIfAborted();
        const targets = held;
        held = [];
        await options.take(targets);
      };
      try {
        await listAgent(fleet, criteria, agent, signal, tally, async (page) => {
          held.push(...(await judge(agent, page)));
          if (held.length >= HELD_BACK) await hand();
        });
        await hand();
        tally.agentsListed += 1;
        report();
      } catch (error) {
        // Thrown when all have come back: nobody may write to a plan that is being discarded.
        failure ??= { error };
        failing.abort(error);
      } finally {
        passOn();
      }
    },
    { concurrency: AGENTS_AT_ONCE },
  );
  const failed = failure as { readonly error: unknown } | null;
  if (failed !== null) throw failed.error;
  options.signal.throwIfAborted();
  return {
    live: tally.live,
    agentNames: new Map(listed.agents.map(({ id, name }) => [id, name])),
    complete: listed.complete && tally.unlisted.length === 0,
    gaps: [...listed.gaps, ...gapsOf(tally, deps)],
    exceptCreators: tally.exceptCreators,
    exceptSessions: tally.exceptSessions,
  };
}

interface AgentsToList {
  readonly agents: readonly Agent[];
  readonly complete: boolean;
  readonly gaps: readonly string[];
}

async function agentsToList(deps: JudgeDependencies, criteria: Criteria, signal: AbortSignal): Promise<AgentsToList> {
  const { sessions, limiter } = deps;
  const patient = <T>(ask: () => Promise<T>): Promise<T> => patiently(limiter, 'list', signal, ask);
  const asking = {
    limiter,
    sessions: {
      teamId: sessions.teamId,
      listTeams: (asked: ListTeamsOptions = {}) => patient(() => sessions.listTeams({ ...asked, signal })),
      listAgents: (asked: ListAgentsOptions = {}) => patient(() => sessions.listAgents({ ...asked, signal })),
    },
  };
  const look = agentsFor(criteria);
  const { agents, teams, problems, failure } = await listVisibleAgents(asking, look);
  if (failure !== null) throw failure;
  const shown = new Map(agents.map((agent) => [agent.id, agent]));
  const gaps = [
    ...problems.map((problem) => `Not all agents could be listed: ${problem}`),
    ...teams.notShown
      // A team that is left out anyway is not missed.
      .filter(({ id }) => look.concerns(id))
      .map(({ id, problem }) => `No agents of team ${JSON.stringify(id)} are shown to this key: ${problem}.`),
  ];

  const { agents: wanted } = criteria.selection;
  const unknown = (wanted ?? []).filter(
    (pattern) =>
      ![...shown.values()].some(({ id, name }) => fits(pattern, id) || (name !== null && fits(pattern, name))),
  );
  // The vendor has agents that no list shows. One that is named by its id can be asked for all the same.
  for (const id of unknown) {
    if (isLiteral(id) && isSessionId(id))
      shown.set(id, { id, name: null, teamId: null, creatorId: null, isActive: null });
    else gaps.push(`No agent that the key shows matches ${JSON.stringify(id)}.`);
  }
  return {
    agents: [...shown.values()].filter((agent) => !concernsNone(criteria, agent)),
    complete: gaps.length === 0,
    gaps,
  };
}

const fits = globMatches;

/** Lists the sessions of one agent, a page at a time. What goes wrong with it alone is noted, and stops nothing. */
async function listAgent(
  deps: JudgeDependencies,
  { selection }: Criteria,
  agent: Agent,
  signal: AbortSignal,
  tally: Tally,
  takePage: (page: Page) => Promise<void>,
): Promise<void> {
  const states = LIVE_STATES.filter((state) => selection.states.includes(state));
  for (const state of states) {
    const listing = await pages(deps, async (cursor) => {
      let seenAtMs = 0;
      const answer = await patiently(deps.limiter, 'list', signal, async () => {
        seenAtMs = await deps.ledger.now();
        const asked = { state, pageSize: PAGE_SIZE, signal, ...(cursor === null ? {} : { cursor }) };
        return deps.sessions.listSessions(agent.id, asked);
      });
      deps.vendorClock.note(answer);
      tally.live += answer.value.sessions.length;
      const [atMs, arrivedMs] = [deps.vendorClock.at(answer.sentAt), deps.vendorClock.at(answer.receivedAt)];
      await takePage({ sessions: answer.value.sessions, atMs, arrivedMs, seenAtMs });
      return answer;
    });
    if (listing.error !== null && refusesAccount(listing.error)) throw listing.error;
    if (!listing.complete) {
      const isGone = listing.error?.kind === 'not-found';
      tally.unlisted.push({ agent, problem: isGone ? NOT_FOUND : (listing.problem ?? '') });
      // The other list would likely fail as well.
      if (listing.error !== null) return;
    }
  }
}

const NOT_FOUND = 'no agent that the key shows has this name or id.';

function gapsOf(tally: Tally, { vendorClock }: JudgeDependencies): string[] {
  const { unlisted, unreadSessions, overLimit, undecided, untimed } = tally;
  const gaps = unlisted
    .slice(0, NAMED_AT_MOST)
    .map(({ agent, problem }) => `The sessions of ${agent.name ?? agent.id} could not all be listed: ${problem}`);
  const more = unlisted.length - gaps.length;
  if (more > 0) gaps.push(`The sessions of ${more} more agents could not all be listed.`);
  if (unreadSessions > 0) gaps.push(`${sessions(unreadSessions)} could not be read, and so not be judged.`);
  if (overLimit > 0) gaps.push(`${sessions(overLimit)} needed a separate read, but the limit was reached.`);
  if (undecided > 0) {
    gaps.push(`${sessions(undecided)} were left out: what is known about them does not say whether they match.`);
  }
  if (untimed > 0) {
    gaps.push(
      `${sessions(untimed)} could not be timed: ${vendorClock.problem() ?? 'the vendor’s clock was not known yet'}.`,
    );
  }
  return gaps;
}

const sessions = (count: number): string => `${count} live session${count === 1 ? '' : 's'}`;
