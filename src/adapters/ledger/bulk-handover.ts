import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { BulkState } from '../../core/contract.js';
import { countsOf, move } from './bulk-counts.js';
import type { BulkJob, TargetStatus } from './bulk-plans.js';
import { type RunKey } from './bulk-run.js';
import { RUN_LEASE_MS } from './leases.js';
import { lockJob } from './bulk-lock.js';
import type { ForTarget } from './bulk-writes.js';
import { ledgerNow } from './locks.js';
import { tell } from './news.js';
import type { LedgerDatabase } from './schema.js';

/** A target that the job's own request did not end, with what is needed to go on. */
export interface Handover extends ForTarget {
  readonly from: TargetStatus;
  readonly agentId: string | null;
  /** Null: not known; then the order means the turn that was there when the target was seen. */
  readonly turn: { readonly key: string; readonly startedAtMs: number | null } | null;
  /** Our clock, ms. */
  readonly seenAtMs: number;
  /** As it is stored with an order. */
  readonly error: string | null;
}

export type HandedOver =
  | { readonly kind: 'handed-over'; readonly orderIds: readonly string[] }
  | { readonly kind: 'halted'; readonly state: BulkState }
  /** Another worker has taken up the job. */
  | { readonly kind: 'taken-over' };

export const createBulkHandover = (db: Kysely<LedgerDatabase>) => ({
  /**
   * Makes orders of targets, for cases to carry out. What the job sent for them stays in the targets, and counts there.
   *
   * @returns the ids of the orders, in their order. None is made when the job does not run any more: its cases would send
   */
  async handOver(key: RunKey, handovers: readonly Handover[]): Promise<HandedOver> {
    return db.transaction().execute(async (trx) => {
      const job = await lockJob(trx, key.planId);
      if (job?.epoch !== key.epoch) return { kind: 'taken-over' };
      if (job.state !== 'running') return { kind: 'halted', state: job.state };
      const nowMs = await ledgerNow(trx);
      const counts = countsOf(job);
      const ids: string[] = [];
      for (const one of handovers) {
        const id = randomUUID();
        ids.push(id);
        const { attempts } = await trx
          .updateTable('bulk_targets')
          .set({ status: 'case' satisfies TargetStatus, order_id: id, decided_at: nowMs })
          .where('plan_id', '=', key.planId)
          .where('seq', '=', one.seq)
          .returning('attempts')
          .executeTakeFirstOrThrow();
        await trx
          .insertInto('orders')
          .values({
            id,
            session_id: one.sessionId,
            agent_id: one.agentId,
            turn_key: one.turn?.key ?? null,
            turn_started_at: one.turn?.startedAtMs ?? null,
            bound_at: one.turn === null ? null : nowMs,
            source: 'bulk',
            requested_by: job.appliedBy ?? job.createdBy,
            reason_text: reasonOfJob(job),
            even_if_exempt: job.evenIfExempt ? 1 : 0,
            // Without a turn the time of the order tells which one is meant.
            ordered_at: one.turn === null ? one.seenAtMs : nowMs,
            open: 1,
            phase: 'ordered',
            attempts,
            last_error_json: one.error,
            counted_ms: 0,
            last_pass_counts: 0,
          })
          .execute();
        move(counts, one.from, 'case');
        tell({ kind: 'order-opened', by: job.source === 'cleanup' ? 'cleanup' : 'bulk', policy: null });
      }
      await trx
        .updateTable('bulk_jobs')
        .set({ progress_json: JSON.stringify(counts), lease_until: nowMs + RUN_LEASE_MS })
        .where('id', '=', key.planId)
        .execute();
      return { kind: 'handed-over', orderIds: ids };
    });
  },
});

/** What whoever asks about one of its sessions is told. */
export function reasonOfJob({ planId, reason, cleanup }: BulkJob): string {
  const what = cleanup === null ? `bulk job ${planId}` : `cleanup ${cleanup}, bulk job ${planId}`;
  return reason === null ? what : `${reason} (${what})`;
}
