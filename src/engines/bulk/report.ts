import { OUTCOMES, type BulkTargetResult, type Outcome } from '../../core/contract.js';
import type { BulkJob, BulkTarget, TargetStatus } from '../../adapters/ledger/bulk-plans.js';
import { isOutcome, resultOfTarget } from '../../adapters/ledger/bulk-results.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { OrderView } from '../../adapters/ledger/results.js';

/** Targets per statement: a report on a million of them takes no more memory than one on a thousand. */
const PAGE = 500;

/** What a target of a report can be asked for by: its outcome, or where it stands without one. */
export const REPORT_KINDS = [...OUTCOMES, 'untouched', 'waiting', 'under-way', 'case'] as const;
export type ReportKind = (typeof REPORT_KINDS)[number];

export const kindOf = ({ status, outcome }: BulkTargetResult): ReportKind =>
  outcome ?? (status === 'settled' ? 'case' : status);

/**
 * The targets of an applied job with what became of each, in their order, page by page. A target that a case works on is
 * shown as its order stands.
 *
 * @param kinds - only these; left out: all
 */
export async function* bulkReport(
  ledger: Pick<Ledger, 'bulk' | 'orders'>,
  job: BulkJob,
  kinds?: readonly ReportKind[],
): AsyncGenerator<BulkTargetResult[]> {
  const statuses = kinds === undefined ? undefined : statusesFor(kinds);
  const wanted = kinds === undefined ? null : new Set(kinds);
  let afterSeq = -1;
  for (;;) {
    const filter = { afterSeq, limit: PAGE, ...(statuses === undefined ? {} : { statuses }) };
    const targets = await ledger.bulk.targets(job.planId, filter);
    const last = targets.at(-1);
    if (last === undefined) return;
    const orderIds = targets.flatMap(({ orderId }) => orderId ?? []);
    const views = orderIds.length === 0 ? [] : await ledger.orders.views({ orderIds, limit: orderIds.length });
    const orders = new Map(views.map((view) => [view.orderId, view]));
    const page = targets
      .map((target) => targetResult(job, target, orders.get(target.orderId ?? '')))
      .filter((result) => wanted === null || wanted.has(kindOf(result)));
    if (page.length > 0) yield page;
    if (targets.length < PAGE) return;
    afterSeq = last.seq;
  }
}

/** @param order - the one that a case works on */
export function targetResult(job: BulkJob, target: BulkTarget, order: OrderView | undefined): BulkTargetResult {
  const own = resultOfTarget(job, target);
  if (target.status === 'case' && order !== undefined) {
    const { result } = order;
    return {
      ...result,
      agentId: result.agentId ?? own.agentId,
      turnKey: result.turnKey ?? own.turnKey,
      // The order may be dated back to when the target was seen; the report is about the job.
      orderedAt: own.orderedAt,
      lastError: result.lastError ?? own.lastError,
      status: result.outcome === null ? 'case' : 'settled',
    };
  }
  return { ...own, status: statusOf(job, target.status) };
}

function statusOf(job: BulkJob, status: TargetStatus): BulkTargetResult['status'] {
  if (isOutcome(status)) return 'settled';
  switch (status) {
    case 'waiting':
      return job.state === 'aborted' || job.state === 'finished' ? 'untouched' : 'waiting';
    case 'sent':
    case 'answered':
      return 'under-way';
    case 'case':
      return 'case';
  }
}

/** Which rows can be of these kinds. The outcome of a case is not in the row. */
function statusesFor(kinds: readonly ReportKind[]): TargetStatus[] {
  const statuses = new Set<TargetStatus>();
  for (const kind of kinds) {
    switch (kind) {
      case 'untouched':
      case 'waiting':
        statuses.add('waiting');
        break;
      case 'under-way':
        statuses.add('sent').add('answered');
        break;
      case 'case':
        statuses.add('case');
        break;
      default:
        statuses.add(kind satisfies Outcome).add('case');
    }
  }
  return [...statuses];
}
