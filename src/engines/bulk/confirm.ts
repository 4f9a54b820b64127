import { listLive } from '../../adapters/vendor/listing.js';
import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import { conclude, newerTurnPerhapsHit } from '../../core/policy/conclusion.js';
import { viewOf, type OrderedTurn } from '../../core/policy/sighting.js';
import type { SessionsError } from '../../adapters/vendor/index.js';
import { plannedTurn } from './attempt.js';
import type { RunContext, Unconfirmed } from './dependencies.js';

/** What confirming found out. */
export type Confirmed =
  | { readonly kind: 'settled'; readonly outcome: SettledOutcome }
  /** Not clear yet: look at it again by reads, after a wait. */
  | { readonly kind: 'look-again'; readonly item: Unconfirmed; readonly afterMs: number }
  /** The request did not end it: a case goes on. */
  | { readonly kind: 'hand-over'; readonly turn: OrderedTurn | null };

export interface SettledOutcome {
  readonly item: Unconfirmed;
  readonly outcome: Extract<ReturnType<typeof conclude>, { kind: 'outcome' }>['outcome'];
  readonly attribution: 'strong' | 'probable' | null;
  /** Vendor's clock, ms. */
  readonly endedAtMs: number | null;
  readonly events: readonly EventToRecord[];
  readonly turnKey: string | null;
}

export interface ListLook {
  /** Requests that a look at this agent costs, by the last one. */
  readonly pages: number;
  readonly confirmed: readonly SettledOutcome[];
  /** Still listed: only reads can tell why. */
  readonly listed: readonly Unconfirmed[];
  /** Why the list says nothing; null: it was complete. */
  readonly problem: SessionsError | string | null;
}

const PAGE_SIZE = 100;

/**
 * Looks at the live sessions of an agent, and concludes on those that are not among them. A request that the vendor answered
 * with `failed`, and a list of what is in flight without the session, asked for later, are two witnesses; so are a read that
 * showed it at rest and the list.
 */
export async function confirmByList(
  run: RunContext,
  agentId: string,
  items: readonly Unconfirmed[],
): Promise<ListLook> {
  const listing = await listLive(run, agentId);
  const pages = Math.max(2, Math.ceil(listing.items.length / PAGE_SIZE) + 1);
  if (!listing.complete || listing.atMs === null) {
    return { pages, confirmed: [], listed: [], problem: listing.error ?? listing.problem ?? 'the list is incomplete' };
  }
  const live = new Set(listing.items.map(({ session }) => session.id));
  const listed = items.filter(({ target }) => live.has(target.sessionId));
  const atMs = Math.round(listing.atMs);
  const confirmed = items
    .filter(({ target }) => !live.has(target.sessionId))
    .map((item): SettledOutcome => {
      const common = { item, events: [], turnKey: item.turn.key };
      if (item.byList === 'at-rest') {
        const endedAtMs = item.sightings[0]?.atMs ?? atMs;
        return { ...common, outcome: 'already-ended', attribution: null, endedAtMs };
      }
      // Without a read nobody knows whether it was in flight when the request came.
      const attribution = run.job().fast ? 'probable' : 'strong';
      return { ...common, outcome: 'cancelled', attribution, endedAtMs: atMs };
    });
  return { pages, confirmed, listed, problem: null };
}

/**
 * One read of a session, and what it means with the reads before: the table of outcomes of a single case, with the difference
 * that a turn which is still in flight becomes a case instead of being asked again.
 *
 * @throws {SessionsError} when the read fails
 */
export async function confirmByRead(run: RunContext, item: Unconfirmed): Promise<Confirmed> {
  const { target } = item;
  const read = await run.gate.read(target.sessionId, 'later');
  await run.account.works();
  const turn = item.turn.key === null ? plannedTurn(target, read) : item.turn;
  const sightings = [...item.sightings, read.sighting];
  const sent = turn.key === null ? [] : await sentFor(run, target.sessionId, turn.key, turn.startedAtMs);
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
      const about = { sessionId: target.sessionId };
      const data = { plan: run.key.planId, turnKey: read.sighting.turnKey };
      const events: EventToRecord[] = [];
      if (conclusion.restarted) {
        events.push({ ...about, kind: 'restarted', data: { ...data, state: read.sighting.state } });
      }
      const hit = sent
        .filter(({ answer }) => answer !== 'refused')
        .map((request) => newerTurnPerhapsHit(request, turn, read.sighting))
        .find((perhaps) => perhaps !== null);
      if (hit != null) events.push({ ...about, kind: 'may-have-hit-newer-turn', data: { ...data, turnKey: hit.key } });
      const over = sightings.find((sighting) => OVER.has(viewOf(sighting, turn)))?.atMs ?? read.sighting.atMs;
      const { outcome, attribution } = conclusion;
      const endedAtMs = conclusion.over ? over : null;
      const settled = { item: { ...item, agentId: read.agentId ?? item.agentId }, events, turnKey: turn.key };
      return { kind: 'settled', outcome: { ...settled, outcome, attribution, endedAtMs } };
    }
  }
}

const OVER: ReadonlySet<string> = new Set(['completed', 'failed', 'newer-in-flight', 'newer-at-rest', 'newer-unclear']);

/** Requests for this turn, by whomever; what was sent before somebody's order on it was settled is that order's affair. */
async function sentFor(run: RunContext, sessionId: string, turnKey: string, startedAtMs: number | null) {
  const before = run.job().appliedAtMs ?? 0;
  const settledAt = await run.ledger.orders.concludedBefore(sessionId, turnKey, before);
  return run.ledger.requests.forTurn(sessionId, turnKey, settledAt ?? 0, startedAtMs);
}
