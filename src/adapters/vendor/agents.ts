import pMap from 'p-map';
import type { Agent, SessionsError } from './index.js';
import { listAgents, listTeams, refusesAccount, type AgentsDependencies, type Listing } from './listing.js';

/** Lists of teams that are asked for at once. */
const LISTS_AT_ONCE = 8;

/** Which agents are looked for. */
export interface AgentsWanted {
  /** The caller's own. */
  readonly own: boolean;
  /** Those of every team that the vendor says the caller is in. */
  readonly shownTeams: boolean;
  /** Those of these teams, whether the vendor says so or not. */
  readonly named: readonly string[];
  /** Whether anything can be about a team's agents; the lists of other teams are not asked for. */
  readonly concerns: (teamId: string) => boolean;
}

/**
 * How it is known which teams there are.
 *
 * - `listed`: the list of teams was read whole
 * - `failed`: it could not be read; teams known before count on
 * - `none-in-api`: the server has no such list, as older ones
 * - `not-in-plan`: the account's plan has no teams
 * - `one-team`: the credentials name one team, and reach no other
 * - `not-asked`: only teams that were named are looked for
 */
export type TeamsSource = 'listed' | 'failed' | 'none-in-api' | 'not-in-plan' | 'one-team' | 'not-asked';

export interface TeamSeen {
  readonly id: string;
  readonly name: string | null;
  /** In its list. */
  readonly agents: number;
}

export interface TeamProblem {
  readonly id: string;
  readonly name: string | null;
  /** For people. */
  readonly problem: string;
}

/** What was seen of teams, and what was not. */
export interface TeamsSeen {
  readonly source: TeamsSource;
  /** Why the list of teams could not be read; null unless it `failed`. */
  readonly problem: string | null;
  /** Teams whose agents were all listed. */
  readonly seen: readonly TeamSeen[];
  /** Teams of the caller's whose agents could not all be listed. */
  readonly unreadable: readonly TeamProblem[];
  /** Teams that were named, and that this key does not show. */
  readonly notShown: readonly TeamProblem[];
  /** Teams of the caller's that nothing can be about: their agents were not listed. */
  readonly notConcerned: number;
}

/** All agents that one key shows, by all the lists that it takes. */
export interface AgentsSeen {
  /** Each once. Where a list failed, those that it showed before are still there. */
  readonly agents: readonly Agent[];
  /** All lists were read whole: an agent that is not here is not shown any more. */
  readonly complete: boolean;
  /** The caller's own agents, or those of the one team that the credentials name; null: not asked for. */
  readonly own: Listing<Agent> | null;
  readonly teams: TeamsSeen;
  /** Why the lists are not complete, a phrase for each. */
  readonly problems: readonly string[];
  /** The account was refused: nothing was answered. */
  readonly refused: SessionsError | null;
  /** No agent is known, and this failure may be why; null: some are, or no call failed. */
  readonly failure: SessionsError | null;
  /** A list that failed may come through when it is asked for again soon. */
  readonly mayRecover: boolean;
  /** What each list said last, by team; null is the caller's own. For the next call. */
  readonly lists: ReadonlyMap<string | null, Listing<Agent>>;
  /** Teams that the vendor has shown, by id, with their names. For the next call. */
  readonly shown: ReadonlyMap<string, string | null>;
}

export interface Earlier {
  /** What this process saw last. */
  readonly seen: AgentsSeen | null;
  /** Teams whose agents are known from before this process, for as long as the list of teams can't be read. */
  readonly teams: readonly string[];
  /** Only lists that failed are asked for again. */
  readonly onlyFailed: boolean;
}

const NOTHING_EARLIER: Earlier = { seen: null, teams: [], onlyFailed: false };

/**
 * All agents that the key shows: the caller's own, and those of each team, which the vendor lists only team by team. One list
 * that fails stops no other, and takes no agent away.
 */
export async function listVisibleAgents(
  deps: AgentsDependencies,
  wanted: AgentsWanted,
  earlier: Earlier = NOTHING_EARLIER,
): Promise<AgentsSeen> {
  const reading = newReading(deps, earlier);
  const lists = new Map<string | null, Listing<Agent>>();
  const onlyTeam = deps.sessions.teamId;
  if (onlyTeam !== null) {
    const isWanted = wanted.own || wanted.shownTeams || wanted.named.includes(onlyTeam);
    if (isWanted) lists.set(onlyTeam, await reading.agents(onlyTeam));
    const shown = new Map([[onlyTeam, null]]);
    const teams: Teams = { source: 'one-team', problem: null, error: null, shown };
    return result(lists, teams, reading.refused(), wanted, onlyTeam);
  }
  // By itself and first: when the account is refused, or asked to wait, the other lists need not be asked for.
  if (wanted.own) lists.set(null, await reading.agents(null));
  const teams = await reading.teams(wanted);
  const ids = [...new Set([...teams.shown.keys(), ...wanted.named])].filter((id) => wanted.concerns(id));
  const listings = await pMap(ids, (id) => reading.agents(id), { concurrency: LISTS_AT_ONCE });
  listings.forEach((listing, index) => lists.set(ids[index] ?? '', listing));
  return result(lists, teams, reading.refused(), wanted, null);
}

interface Teams {
  readonly source: TeamsSource;
  readonly problem: string | null;
  readonly error: SessionsError | null;
  /** Those that are the caller's, as far as the vendor ever said so. */
  readonly shown: ReadonlyMap<string, string | null>;
}

/** One look at all lists. */
interface Reading {
  /** The agents of a team; null: the caller's own. With those known before, where the list fails. */
  agents(team: string | null): Promise<Listing<Agent>>;
  teams(wanted: AgentsWanted): Promise<Teams>;
  /** Nothing was answered, and the account was refused. */
  refused(): SessionsError | null;
}

function newReading(deps: AgentsDependencies, { seen, teams: known, onlyFailed }: Earlier): Reading {
  let accepted = false;
  let refused: SessionsError | null = null;
  /** The vendor asks to wait, or refuses the account by the first list: nothing more is asked for. */
  let halt: SessionsError | null = null;
  const ask = async <T>(list: () => Promise<Listing<T>>, isFirst: boolean): Promise<Listing<T>> => {
    if (halt !== null) return notAsked(halt);
    const listing = await list();
    const { error, items } = listing;
    accepted ||= error === null || items.length > 0;
    if (error !== null && refusesAccount(error)) refused ??= error;
    if (error !== null && (error.kind === 'rate-limited' || (isFirst && refusesAccount(error)))) halt ??= error;
    return listing;
  };
  return {
    refused: () => (accepted ? null : refused),
    async agents(team) {
      const before = seen?.lists.get(team) ?? null;
      const isFirst = team === null || team === deps.sessions.teamId;
      if (onlyFailed && before !== null && !mayRecover(before, isFirst)) {
        accepted ||= before.complete;
        return before;
      }
      const listing = await ask(() => listAgents(deps, team), isFirst);
      // What it showed before may still be there.
      const kept = listing.complete ? [] : (before?.items ?? []);
      const shown = new Set(listing.items.map(({ id }) => id));
      return { ...listing, items: [...listing.items, ...kept.filter(({ id }) => !shown.has(id))] };
    },
    async teams({ shownTeams }) {
      const settled = { problem: null, error: null };
      if (!shownTeams) return { source: 'not-asked', ...settled, shown: new Map() };
      const source = seen?.teams.source ?? 'failed';
      if (onlyFailed && seen !== null && source !== 'failed') return { source, ...settled, shown: seen.shown };
      const { items, complete, problem, error } = await ask(() => listTeams(deps), false);
      const listed = items.map(({ id, name }) => [id, name] as const);
      if (complete) return { source: 'listed', ...settled, shown: new Map(listed) };
      const missing = error === null ? null : withoutTeams(error);
      // Those of a list that was there once are asked for all the same.
      if (missing !== null) return { source: missing, ...settled, shown: seen?.shown ?? new Map() };
      const before = seen?.shown ?? new Map(known.map((id) => [id, null] as const));
      return { source: 'failed', problem, error, shown: new Map([...before, ...listed]) };
    },
  };
}

const notAsked = (error: SessionsError): Listing<never> => ({
  items: [],
  complete: false,
  problem: `not asked for, after ${error.message}`,
  // It has not failed itself.
  error: null,
});

/** The failure says that there are no teams to list. A refusal of the right to list them does not. */
function withoutTeams({ status, code }: SessionsError): 'none-in-api' | 'not-in-plan' | null {
  if (status === 404 || status === 405 || status === 501) return 'none-in-api';
  return status === 403 && /^tier_required_\w+$/i.test(code ?? '') ? 'not-in-plan' : null;
}

/** Answers by which the vendor says that this list is not for this key. */
const isRefusal = ({ kind }: SessionsError): boolean =>
  kind === 'forbidden' ||
  kind === 'not-found' ||
  kind === 'bad-request' ||
  kind === 'account-forbidden' ||
  kind === 'unauthorized';

/** A failure that may be over soon. What hangs holds up everything behind it, so it is left until its turn. */
const isPassing = (error: SessionsError | null): boolean =>
  error === null || !(isRefusal(error) || error.kind === 'timeout');

/** @param isFirst - the list without which there is nothing: it is asked for again at once, whatever the failure */
const mayRecover = ({ complete, error }: Listing<unknown>, isFirst: boolean): boolean =>
  !complete && (isFirst || isPassing(error));

function result(
  lists: Map<string | null, Listing<Agent>>,
  teams: Teams,
  refused: SessionsError | null,
  wanted: AgentsWanted,
  onlyTeam: string | null,
): AgentsSeen {
  const seen: TeamSeen[] = [];
  const unreadable: TeamProblem[] = [];
  const notShown: TeamProblem[] = [];
  for (const [id, list] of lists) {
    if (id === null) continue;
    const isShown = teams.shown.has(id);
    const name = teams.shown.get(id) ?? null;
    const refusal = list.error !== null && isRefusal(list.error) ? list.error : null;
    if (list.complete && (isShown || list.items.length > 0)) seen.push({ id, name, agents: list.items.length });
    else if (isShown || (!list.complete && refusal === null))
      unreadable.push({ id, name, problem: list.problem ?? '' });
    else {
      notShown.push({ id, name, problem: notShownWords(teams.source, refusal) });
      // Said twice over: what it showed before is not this key's any more.
      if (teams.source === 'listed' && refusal !== null) lists.set(id, { ...list, items: [] });
    }
  }
  for (const id of new Set(wanted.named)) {
    if (lists.has(id)) continue;
    if (onlyTeam !== null) notShown.push({ id, name: null, problem: `this key reaches team ${onlyTeam} only` });
    else if (teams.source === 'listed' && !teams.shown.has(id)) notShown.push({ id, name: null, problem: NOT_IN_IT });
  }
  const own = wanted.own ? (lists.get(onlyTeam) ?? null) : null;
  const problems = [
    ...(own === null || own.complete || onlyTeam !== null ? [] : [`the caller’s own agents: ${own.problem ?? ''}`]),
    ...(teams.problem === null ? [] : [`the list of teams: ${teams.problem}`]),
    ...unreadable.map(({ id, name, problem }) => `the agents of team ${name ?? id}: ${problem}`),
  ];
  const agents = eachOnce(lists);
  const errors = [own?.error, teams.error, ...unreadable.map(({ id }) => lists.get(id)?.error)];
  return {
    agents,
    complete: problems.length === 0,
    own,
    teams: {
      source: teams.source,
      problem: teams.problem,
      ...{ seen, unreadable, notShown },
      notConcerned: [...teams.shown.keys()].filter((id) => !lists.has(id)).length,
    },
    problems,
    refused,
    failure: agents.length > 0 ? null : (refused ?? errors.find((error) => error != null) ?? null),
    mayRecover:
      (teams.source === 'failed' && isPassing(teams.error)) ||
      [...lists].some(([team, list]) => mayRecover(list, team === onlyTeam)),
    lists,
    shown: teams.shown,
  };
}

const NOT_IN_IT = 'the caller is not in it';

function notShownWords(source: TeamsSource, refusal: SessionsError | null): string {
  const list = refusal === null ? 'its list of agents is empty' : `its list of agents is refused (${refusal.message})`;
  return source === 'listed' ? `${NOT_IN_IT}, and ${list}` : list;
}

/**
 * An agent that several lists show is one agent. Its team is the one that it says itself, else the one whose list shows it;
 * where that leaves two, its team is not known.
 */
function eachOnce(lists: ReadonlyMap<string | null, Listing<Agent>>): Agent[] {
  const found = new Map<string, { agent: Agent; readonly said: Set<string>; readonly listed: Set<string> }>();
  for (const [team, { items }] of lists) {
    for (const agent of items) {
      const known = found.get(agent.id) ?? { agent, said: new Set<string>(), listed: new Set<string>() };
      found.set(agent.id, { ...known, agent: { ...known.agent, name: known.agent.name ?? agent.name } });
      if (agent.teamId !== null) known.said.add(agent.teamId);
      if (team !== null) known.listed.add(team);
    }
  }
  return [...found.values()].map(({ agent, said, listed }) => {
    const [teamId = null, ...others] = said.size > 0 ? said : listed;
    return { ...agent, teamId: others.length > 0 ? null : teamId };
  });
}
