import type { AgentScan, StoredFacts } from '../ledger/facts.js';
import type { Facts } from '../policy/facts.js';
import { observe } from '../policy/observe.js';

/** Time between two scans of an agent, ms, where no scan has said another. */
export const DEFAULT_SCAN_MS = 15_000;

/**
 * Facts as they would be if every sight were stored. Being listed again in the same state changes nothing that matters,
 * so it is not written for each session; the last complete scan of the agent stands for it.
 *
 * @returns the facts, with the last scan as a sight of an unchanged session; usage then was not less than what is known
 */
export function asOfLastScan({ facts, listed }: StoredFacts, scan: AgentScan | null): Facts {
  if (!listed || scan?.atMs == null || scan.atMs <= facts.timeline.seenAtMs) return facts;
  const sight = {
    kind: 'list',
    atMs: scan.atMs,
    state: facts.timeline.state,
    credits: null,
    tokens: null,
    turn: null,
    subject: facts.subject,
    createdAtMs: facts.createdAtMs,
  } as const;
  return observe(facts, sight, { scanMs: scan.scanMs });
}
