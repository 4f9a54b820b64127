import { VENDOR_BOUNDS } from '../../core/bounds.js';
import type { LiveList } from '../../core/policy/list-witness.js';
import type { Limiter } from './limiter.js';
import { SessionsError } from './errors.js';
import type { Agent, Answer, Session, SessionsClient, Team } from './index.js';
import type { VendorClock } from './vendor-clock.js';

/**
 * States in which a turn can be ended; the vendor lists one state per request. In this order, because a turn that leaves the
 * queue between the two lists is then in both, and not in none.
 */
const LIVE_STATES = ['queued', 'processing'] as const;
export const PAGE_SIZE = 100;
const MAX_ITEMS = VENDOR_BOUNDS.listed.most;
const MAX_PAGES = VENDOR_BOUNDS.listPages.most;

/** The calls that find agents and their sessions. */
export type ListingCalls = Pick<SessionsClient, 'teamId' | 'listTeams' | 'listAgents' | 'listSessions'>;

export interface ListingDependencies {
  readonly sessions: ListingCalls;
  readonly limiter: Limiter;
  readonly vendorClock: VendorClock;
}

/** A list, as far as it could be read. An incomplete one says what is there, and nothing about what is not. */
export interface Listing<T> {
  readonly items: readonly T[];
  readonly complete: boolean;
  /** Why it is not complete, for people; null when it is. */
  readonly problem: string | null;
  /** The failure, where a call failed. */
  readonly error: SessionsError | null;
}

export interface ListedSession {
  readonly session: Session;
  /** Vendor's time at which the page was asked for, ms. */
  readonly atMs: number;
  /** The same for when it was there; null: not known. */
  readonly arrivedMs: number | null;
}

/** A list of one agent's live sessions. */
export interface LiveListing extends Listing<ListedSession> {
  /** Vendor's time at which the first page was asked for, ms: what is not in a complete list was not live then. */
  readonly atMs: number | null;
}

/** What lists of agents and teams need; nothing in them is timed. */
export interface AgentsDependencies {
  readonly sessions: Omit<ListingCalls, 'listSessions'>;
  readonly limiter: Limiter;
}

/** The teams that the caller is in. */
export async function listTeams(deps: AgentsDependencies): Promise<Listing<Team>> {
  const teams = new Map<string, Team>();
  const problems = await pages(deps, async (cursor) => {
    const answer = await deps.sessions.listTeams(cursor === null ? {} : { cursor });
    for (const team of answer.value.teams) teams.set(team.id, team);
    return answer;
  });
  return { items: [...teams.values()], ...problems };
}

/** The caller's own agents, or those of one team. For all that can be seen: `src/adapters/vendor/agents.ts`. */
export async function listAgents(deps: AgentsDependencies, teamId: string | null = null): Promise<Listing<Agent>> {
  const agents = new Map<string, Agent>();
  const problems = await pages(deps, async (cursor) => {
    const answer = await deps.sessions.listAgents({
      pageSize: PAGE_SIZE,
      ...(cursor === null ? {} : { cursor }),
      ...(teamId === null ? {} : { teamId }),
    });
    for (const agent of answer.value.agents) agents.set(agent.id, agent);
    return answer;
  });
  return { items: [...agents.values()], ...problems };
}

/**
 * Sessions of an agent that are processing or queued. The list changes while it is paged through, so a session may come
 * twice; the later sight counts.
 */
export async function listLive(deps: ListingDependencies, agentId: string): Promise<LiveListing> {
  const seen = new Map<string, ListedSession>();
  let firstAtMs: number | null = null;
  let problem: string | null = null;
  for (const state of LIVE_STATES) {
    const untimed = { pages: 0 };
    const listing = await pages(deps, async (cursor) => {
      const answer = await deps.sessions.listSessions(agentId, {
        state,
        pageSize: PAGE_SIZE,
        ...(cursor === null ? {} : { cursor }),
      });
      deps.vendorClock.note(answer);
      const atMs = deps.vendorClock.at(answer.sentAt);
      if (atMs === null) {
        untimed.pages += 1;
        return answer;
      }
      firstAtMs ??= atMs;
      const arrivedMs = deps.vendorClock.at(answer.receivedAt);
      for (const session of answer.value.sessions) seen.set(session.id, { session, atMs, arrivedMs });
      return answer;
    });
    // After a failed call the next one would likely fail as well. What is odd in one list says nothing of the other.
    if (listing.error !== null) return { items: [...seen.values()], atMs: firstAtMs, ...listing };
    problem ??= listing.problem ?? (untimed.pages > 0 ? (deps.vendorClock.problem() ?? NO_TIME) : null);
  }
  return { items: [...seen.values()], atMs: firstAtMs, complete: problem === null, problem, error: null };
}

/** What a listing says of sessions that are asked about. @param askedAt - monotonic, ms: taken before its first page was asked for */
export const liveListOf = ({ items, complete }: LiveListing, askedAt: number): LiveList => ({
  ids: new Set(items.map(({ session }) => session.id)),
  ...{ complete, askedAt },
});

/** Too many requests are no refusal: they concern the account, too, but pass. */
export const refusesAccount = ({ kind, accountWide }: SessionsError): boolean => accountWide && kind !== 'rate-limited';

const NO_TIME = 'some of the vendor’s answers carry no usable Date header, so they can’t be timed';

type Page = Answer<
  { readonly nextCursor: string | null; readonly unreadable: number } & {
    readonly [list in 'teams' | 'agents' | 'sessions']?: readonly unknown[];
  }
>;

/**
 * Reads a list to its end, page after page.
 *
 * @param ask - asks for one page, and takes in what it shows
 */
export async function pages(
  deps: Pick<ListingDependencies, 'limiter'>,
  ask: (cursor: string | null) => Promise<Page>,
): Promise<Omit<Listing<never>, 'items'>> {
  const cursors = new Set<string>();
  let cursor: string | null = null;
  let unreadable = 0;
  let items = 0;
  try {
    for (;;) {
      await deps.limiter.acquire('list');
      const { value }: Page = await ask(cursor);
      unreadable += value.unreadable;
      items += (value.sessions ?? value.agents ?? value.teams ?? []).length + value.unreadable;
      cursor = value.nextCursor;
      if (cursor === null) break;
      const endless = cursors.has(cursor)
        ? 'the vendor gave the same cursor again'
        : cursors.size >= MAX_PAGES - 1
          ? `there is still more after ${MAX_PAGES} pages`
          : items >= MAX_ITEMS
            ? `there is still more after ${items} items`
            : null;
      if (endless !== null) return { complete: false, problem: `the list does not end: ${endless}`, error: null };
      cursors.add(cursor);
    }
  } catch (error) {
    if (!(error instanceof SessionsError)) throw error;
    return { complete: false, problem: error.message, error };
  }
  if (unreadable > 0)
    return { complete: false, problem: `${unreadable} items of the list could not be read`, error: null };
  return { complete: true, problem: null, error: null };
}
