import type { Ledger } from '../adapters/ledger/ledger.js';
import { shell } from '../core/text/shell.js';
import { ExitCode, UserError } from '../core/errors.js';
import { evidenceDocument, evidenceWords, isEmptyEvidence, type Evidence } from './evidence-words.js';
import type { Output } from './output.js';

/** More of a kind than this fits no page. */
const MOST = 500;

/** Prints all that the ledger holds of a session. @throws UserError with exit code 1 when that is nothing */
export async function showEvidence(ledger: Ledger, out: Output, sessionId: string): Promise<void> {
  const evidence = await readEvidence(ledger, sessionId);
  if (isEmptyEvidence(evidence)) {
    throw new UserError(
      `The ledger holds nothing of ${sessionId}: no order, request, job, exemption or event.`,
      `What is known of it now: ${shell`curfew explain ${sessionId}`}`,
      ExitCode.failed,
    );
  }
  out.result(evidenceDocument(evidence), evidence, evidenceWords);
}

async function readEvidence(ledger: Ledger, sessionId: string): Promise<Evidence> {
  const [orders, targets, requests, exemptions, permits, nowMs] = await Promise.all([
    ledger.orders.views({ sessionId, limit: MOST }),
    ledger.bulk.ofSession(sessionId, MOST),
    ledger.evidence.requests(sessionId, MOST),
    ledger.evidence.exemptions(sessionId, MOST),
    ledger.evidence.permits(sessionId, MOST),
    ledger.now(),
  ]);
  const events = [];
  for await (const page of ledger.history.events({ sessionId, last: MOST })) events.push(...page);
  const oldestFirst = { orders: orders.toReversed(), targets: targets.toReversed() };
  return { sessionId, nowMs, most: MOST, ...oldestFirst, requests, exemptions, permits, events };
}
