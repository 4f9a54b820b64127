import { listLive, liveListOf, PAGE_SIZE } from '../../adapters/vendor/listing.js';
import { requestsFor } from '../cases/gather.js';
import { conclude } from '../../core/policy/conclusion.js';
import { endingByList, endingOf, type Ending } from '../../core/policy/ending.js';
import { verdictOfList, type ListVerdict } from '../../core/policy/list-witness.js';
import type { OrderedTurn, Sighting } from '../../core/policy/sighting.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import { plannedTurn } from './attempt.js';
import type { RunContext, Unconfirmed } from './dependencies.js';
import { settleMs } from '../../core/policy/timing.js';

/** What confirming found out. */
export type Confirmed =
  | ({ readonly kind: 'settled' } & Settled)
  /** Not clear yet: look at it again by reads, after a wait. */
  | { readonly kind: 'look-again'; readonly item: Unconfirmed; readonly afterMs: number }
  /** The request did not end it: a case goes on. */
  | { readonly kind: 'hand-over'; readonly turn: OrderedTurn | null };

export interface Settled {
  readonly item: Unconfirmed;
  readonly ending: Ending;
}

export interface ListLook {
  /** Requests that a look at this agent costs, by the last one. */
  readonly pages: number;
  readonly confirmed: readonly Settled[];
  /** Still listed: only reads can tell why. */
  readonly listed: readonly Unconfirmed[];
  /** The list was asked for too soon to tell. */
  readonly unsettled: readonly Unconfirmed[];
  /** Why the list says nothing; null: it was complete. */
  readonly problem: SessionsError | string | null;
}

/**
 * Looks at the live sessions of an agent, and concludes on those that are over by them: see {@link verdictOfList}.
 */
export async function confirmByList(
  run: RunContext,
  agentId: string,
  items: readonly Unconfirmed[],
): Promise<ListLook> {
  const askedAt = run.clock.monotonic();
  const listing = await listLive(run, agentId);
  const pages = Math.max(2, Math.ceil(listing.items.length / PAGE_SIZE) + 1);
  if (!listing.complete || listing.atMs === null) {
    const problem = listing.error ?? listing.problem ?? 'the list is incomplete';
    return { pages, confirmed: [], listed: [], unsettled: [], problem };
  }
  const live = liveListOf(listing, askedAt);
  const settledAfterMs = settleMs(run.timing);
  const verdictOf = ({ target, sinceAt }: Unconfirmed): ListVerdict =>
    verdictOfList(live, { sessionId: target.sessionId, sinceAt }, settledAfterMs);
  const said = { over: [], live: [], nothing: [] } as Record<ListVerdict, Unconfirmed[]>;
  for (const item of items) said[verdictOf(item)].push(item);

  const atMs = Math.round(listing.atMs);
  const unread = run.job().fast;
  const confirmed = said.over.map((item) => ({
    item,
    ending: endingByList(item.byList === 'request' ? null : restOf(item), unread, atMs),
  }));
  return { pages, confirmed, listed: said.live, unsettled: said.nothing, problem: null };
}

/** What showed it at rest. */
function restOf({ sightings, target }: Unconfirmed): Sighting {
  const [sighting] = sightings;
  if (sighting === undefined) throw new Error(`Nothing showed ${target.sessionId} at rest.`);
  return sighting;
}

/**
 * One read of a session, and what it means with the reads before: the table of outcomes of a single case, with the difference
 * that a turn which is still in flight becomes a case instead of being asked again.
 *
 * @throws {SessionsError} when the read fails
 */
export async function confirmByRead(run: RunContext, item: Unconfirmed): Promise<Confirmed> {
  const { target } = item;
  const read = await run.gate.read(target.sessionId, 'confirm');
  await run.account.works();
  const turn = item.turn.key === null ? plannedTurn(target, read) : item.turn;
  const sightings = [...item.sightings, read.sighting];
  const sent = await requestsFor(run, target.sessionId, turn, run.job().appliedAtMs ?? 0);
  const windowOpen = sightings.length < run.timing.confirmGapsMs.length;
  const conclusion = conclude(turn, sent, sightings, windowOpen);
  switch (conclusion.kind) {
    case 'send':
      return { kind: 'hand-over', turn };
    case 'look-again': {
      if (!windowOpen) return { kind: 'hand-over', turn };
      const gapMs = run.timing.confirmGapsMs[sightings.length] ?? run.timing.heldRetryMs;
      const afterMs = read.sighting.missing ? run.timing.missingGapMs : gapMs;
      return { kind: 'look-again', item: { ...item, turn, sightings }, afterMs };
    }
    case 'outcome': {
      const ending = endingOf(conclusion, turn, sent, sightings);
      return { kind: 'settled', item: { ...item, agentId: read.agentId ?? item.agentId, turn }, ending };
    }
  }
}
