import type { Coverage } from './coverage.js';
import type { AgentScan, StoredFacts } from './facts.js';
import type { Facts } from '../../core/policy/facts.js';
import { absentFromLists, type Observation } from '../../core/policy/observation.js';
import { observe } from '../../core/policy/observe.js';
import { DEFAULT_SCAN_MS } from '../../core/policy/timing.js';
import { extend } from '../../core/policy/timeline.js';

/**
 * Facts as they would be if every sight were stored. Being listed again in the same state changes nothing that matters,
 * so it is not written for each session; the last complete scan of the agent stands for it. A gap between two sights does
 * change facts, so it is written: between what is stored and that scan there was none, however long it is.
 *
 * @returns the facts, with the last scan as a sight of an unchanged session; usage then was not less than what is known.
 *   Reads from before that scan have no place in them any more
 */
export function asOfLastScan({ facts, listed }: StoredFacts, scan: AgentScan | null): Facts {
  if (!listed || scan?.atMs == null || scan.atMs <= facts.timeline.seenAtMs) return facts;
  const { state } = facts.timeline;
  const sight = { kind: 'list', atMs: scan.atMs, state, credits: null, tokens: null, turn: null } as const;
  const timeline = extend(facts.timeline, sight, Infinity);
  // Nothing from before may be added up again: the sights between are not there, and would look like a gap.
  return { ...facts, timeline, base: timeline, recent: [] };
}

/** Time between two scans of an agent, ms. @param otherwise - where no scan has said so */
export const scanMsOf = (scan: AgentScan | null | undefined, otherwise = DEFAULT_SCAN_MS): number =>
  scan == null || scan.scanMs === 0 ? otherwise : scan.scanMs;

/**
 * What is known of a session with the item of a list in it. One that is not stored was not in the last complete list of its
 * agent: so its turn began after that.
 */
export function withListSight(stored: StoredFacts | undefined, scan: AgentScan | null, sight: Observation): Facts {
  const scanMs = scanMsOf(scan);
  if (stored !== undefined) return observe(asOfLastScan(stored, scan), sight, { scanMs });
  const absent = scan?.atMs != null && scan.atMs < sight.atMs ? absentFromLists(scan.atMs) : null;
  return observe(absent === null ? null : observe(null, absent, { scanMs }), sight, { scanMs });
}

/**
 * The vendor's time now, from the ledger alone: the newest sight, and what has passed since by the ledger's clock. The two
 * clocks are never compared with each other, because they may differ.
 *
 * @param ledgerNowMs - the ledger's clock, ms
 */
export function vendorTimeNow(scans: readonly AgentScan[], coverage: Coverage | null, ledgerNowMs: number): number {
  const newest = scans.reduce((latest, { atMs }) => Math.max(latest, atMs ?? 0), 0);
  if (newest === 0 || coverage === null) return ledgerNowMs;
  return newest + Math.max(0, ledgerNowMs - coverage.atMs);
}
