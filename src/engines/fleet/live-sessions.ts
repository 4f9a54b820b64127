import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { Policy } from '../../core/policy/policy.js';
import { flightOf } from '../../core/policy/state.js';
import { readCoverage, type Coverage } from '../../adapters/ledger/coverage.js';
import { compareStandings, standingsAbout, type PolicyStanding } from '../../core/policy/standing.js';
import { asOfLastScan, scanMsOf, vendorTimeNow } from '../../adapters/ledger/stored-facts.js';

/** The live sessions as the last scans left them in the ledger. Nobody is asked. */
export interface LiveSessions {
  /** Vendor's time now, as far as the ledger tells, ms. */
  readonly nowMs: number;
  readonly coverage: Coverage | null;
  readonly count: number;
  /** Those that some policy is about, the nearest to its limit first. */
  readonly nearest: readonly LiveSession[];
}

export interface LiveSession {
  readonly sessionId: string;
  readonly agentId: string | null;
  readonly agentName: string | null;
  readonly state: string | null;
  /** Vendor's time of the last sight, ms. */
  readonly seenAtMs: number;
  readonly exempt: boolean;
  /** Of the policy that is nearest to ending it. */
  readonly standing: PolicyStanding;
}

/**
 * @param policies - as they count now: those with an open breaker observe
 * @param limit - sessions at most
 */
export async function readLiveSessions(
  ledger: Ledger,
  policies: readonly Policy[],
  limit: number,
): Promise<LiveSessions> {
  const [coverage, { facts: stored, scans }, exempt, ledgerNowMs] = await Promise.all([
    readCoverage(ledger),
    ledger.facts.load(0),
    ledger.exemptions.running(),
    ledger.now(),
  ]);
  const nowMs = vendorTimeNow(scans, coverage, ledgerNowMs);
  const scanOf = new Map(scans.map((scan) => [scan.agentId, scan]));
  const live: LiveSession[] = [];
  let count = 0;
  for (const known of stored) {
    if (!known.listed || flightOf(known.facts.timeline.state) !== 'in-flight') continue;
    count += 1;
    const scan = known.agentId === null ? null : (scanOf.get(known.agentId) ?? null);
    const facts = asOfLastScan(known, scan);
    const isExempt = exempt.has(known.sessionId);
    const [standing] = standingsAbout(facts, policies, nowMs, { scanMs: scanMsOf(scan), exempt: isExempt });
    if (standing === undefined) continue;
    live.push({
      sessionId: known.sessionId,
      agentId: known.agentId,
      agentName: facts.subject.agentName ?? scan?.name ?? null,
      state: facts.timeline.state,
      seenAtMs: facts.timeline.seenAtMs,
      exempt: isExempt,
      standing,
    });
  }
  live.sort((a, b) => compareStandings(a.standing, b.standing));
  return { nowMs, coverage, count, nearest: live.slice(0, limit) };
}
