import { ApplicationFailure } from '@temporalio/common';
import type { BulkStatus } from '../../core/contract.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { readBulkStatus } from './status.js';

/** What an update of the workflow `bulkCancellation` asks for. */
export type BulkSteerRequest =
  | { readonly planId: string; readonly action: 'pause' | 'resume' | 'abort'; readonly word: unknown }
  | { readonly planId: string; readonly action: 'rate'; readonly word: unknown };

const MOST_PER_SECOND = 10_000;

/**
 * Writes a program's word on a job into the ledger.
 *
 * @throws {ApplicationFailure} `InvalidBulkSteer` for a word that can't be read, `BulkNotSteerable` for a job that is over
 */
export async function steerFromCode(
  { ledger }: { readonly ledger: Ledger },
  { planId, action, word }: BulkSteerRequest,
): Promise<BulkStatus> {
  const { requestedBy, reason, rate } = fieldsOf(word);
  const by = requestedBy ?? 'a program';
  if (action === 'rate' && (rate === null || !(rate > 0) || rate > MOST_PER_SECOND)) {
    throw ApplicationFailure.nonRetryable(
      `A rate is a number of sessions a second, above 0 and at most ${MOST_PER_SECOND}: { "rate": 20 }. Nothing was changed.`,
      'InvalidBulkSteer',
    );
  }
  const steered = await ledger.bulk.steer(
    planId,
    action === 'rate' ? { action, by, rate: rate ?? 0 } : { action, by, reason },
  );
  if (steered.kind === 'unknown' || steered.kind === 'refused') {
    const stands = steered.kind === 'unknown' ? 'is not known' : `is ${steered.job.state}`;
    throw ApplicationFailure.nonRetryable(
      `The bulk job ${planId} ${stands}, so it can't be told to ${action}.`,
      'BulkNotSteerable',
    );
  }
  return readBulkStatus(ledger, steered.job);
}

/** What others send is read with care: everything in it is optional, a rate apart. */
function fieldsOf(word: unknown): { requestedBy: string | null; reason: string | null; rate: number | null } {
  const fields = (typeof word === 'object' && word !== null ? word : {}) as Record<string, unknown>;
  const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
  const { rate } = fields;
  return {
    requestedBy: text(fields['requestedBy']),
    reason: text(fields['reason']),
    rate: typeof rate === 'number' && Number.isFinite(rate) ? rate : null,
  };
}
