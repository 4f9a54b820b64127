import type { EventToRecord, Ledger } from '../../adapters/ledger/ledger.js';
import type { AgentScan, StoredFacts } from '../../adapters/ledger/facts.js';
import type { NewOrder } from '../../adapters/ledger/orders.js';
import type { Verdict } from '../../core/policy/assess.js';
import type { Logger } from '../../platform/telemetry.js';
import type { Meters } from '../../adapters/meters.js';
import { observationOf } from '../cases/read-observation.js';
import { observe } from '../../core/policy/observe.js';
import { orderReasonOf } from '../../core/policy/order-reason.js';
import type { Read } from '../cases/gate.js';
import { policyOrder } from '../cases/rules.js';
import { detectionLagMs } from './detection-lag.js';
import type { Tracked } from './fleet.js';
import type { InHand } from './in-hand.js';
import { mayOrder } from '../../core/policy/order-again.js';
import type { RulesInForce } from './rules-in-force.js';
import type { VendorClock } from '../../adapters/vendor/vendor-clock.js';
import { isWorthStoring } from '../../core/policy/worth-storing.js';

/** What was found out about some sessions, to be stored and carried out. */
export interface Findings {
  readonly sessions: readonly Tracked[];
  readonly scans: readonly AgentScan[];
  readonly events: readonly EventToRecord[];
  readonly cancels: readonly { readonly session: Tracked; readonly verdict: Verdict }[];
}

export interface ActDependencies {
  readonly ledger: Ledger;
  readonly inHand: Pick<InHand, 'take' | 'holds' | 'listed' | 'readAfterEnd'>;
  /** Names this process in the ledger. */
  readonly worker: string;
  readonly vendorClock: VendorClock;
  /** Time between two scans, ms. */
  readonly scanMs: number;
  readonly meters: Pick<Meters, 'detected' | 'scan'>;
  readonly log: Logger;
}

/**
 * Writes what was found out: facts, events and orders together. What is not written is not done. Then the orders are carried
 * out: see {@link InHand}.
 *
 * @param read - of the one session that the findings are about; null: there was none
 * @throws LedgerUnavailableError when nothing was written; then what this process remembers is ahead of the ledger
 */
export async function storeFindings(
  deps: ActDependencies,
  findings: Findings,
  rules: RulesInForce,
  read: Read | null = null,
): Promise<void> {
  const { ledger, log, vendorClock, meters, inHand, worker } = deps;
  const { version } = rules;
  const orders: { readonly order: NewOrder; readonly session: Tracked }[] = [];
  const detected: Findings['cancels'][number][] = [];
  for (const { session, verdict } of findings.cancels) {
    if (verdict.turnKey === null) continue;
    const earlier = await ledger.orders.ofTurn(session.sessionId, verdict.turnKey);
    const { retrievedAtMs } = session.facts.timeline;
    const vendorMs = vendorClock.now();
    const readAgoMs = retrievedAtMs === null || vendorMs === null ? null : Math.max(0, vendorMs - retrievedAtMs);
    if (!mayOrder(verdict.policy, earlier, { nowMs: await ledger.now(), readAgoMs })) continue;
    if (verdict.isNew && earlier.length === 0) detected.push({ session, verdict });
    const reason = orderReasonOf(verdict, session.facts, version);
    orders.push({ order: { ...policyOrder(session.sessionId, reason, verdict), holder: worker }, session });
  }
  const changed = findings.sessions.filter(
    (session) => session.listed !== session.storedListed || isWorthStoring(session.stored, session.facts),
  );
  if (changed.length + findings.scans.length + findings.events.length + orders.length === 0) return;

  const rows = changed.map((session): StoredFacts => {
    const { sessionId, agentId, listed, facts } = session;
    return { sessionId, agentId, listed, facts };
  });
  const ids = await ledger.facts.store({
    facts: rows,
    scans: findings.scans,
    events: findings.events,
    orders: orders.map(({ order }) => order),
  });
  for (const [index, session] of changed.entries()) {
    const row = rows[index];
    if (row === undefined) continue;
    session.stored = row.facts;
    session.storedListed = row.listed;
  }
  for (const { session, verdict } of detected) {
    const lagMs = detectionLagMs(session, verdict, rules, vendorClock.now());
    if (lagMs !== null) meters.detected(verdict.policy, lagMs);
  }
  for (const { kind, sessionId, data } of findings.events) log.warn({ sessionId, ...data }, kind);

  for (const [index, { order, session }] of orders.entries()) {
    const orderId = ids[index];
    if (orderId === undefined) continue;
    const { sessionId, turnKey, reason } = order;
    const about = { sessionId, turnKey, orderId, policy: reason.policy, version, reason: reason.text };
    log.warn(about, 'policy ordered the end of a turn');
    const policy = rules.policies.find(({ name }) => name === reason.policy);
    inHand.take({
      ...{ orderId, sessionId, agentId: session.agentId, read },
      endsRestarts: policy?.onRestart.action === 'cancel',
      onRead: (later) => takeNote(deps, session, later),
    });
  }
}

/** What confirms the end of a turn says, too, that nobody has to look whether it still runs. */
function takeNote({ vendorClock, scanMs }: ActDependencies, session: Tracked, read: Read): void {
  const seen = observationOf(vendorClock, read, session.agentId, null);
  if (seen !== null) session.facts = observe(session.facts, seen, { scanMs });
}
