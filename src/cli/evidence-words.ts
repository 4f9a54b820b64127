import pc from 'picocolors';
import type { BulkJob, BulkTarget } from '../adapters/ledger/bulk-plans.js';
import type { RecordedExemption, RecordedPermit, RecordedRequest } from '../adapters/ledger/evidence.js';
import type { HistoryEvent } from '../adapters/ledger/history.js';
import type { OrderView } from '../adapters/ledger/results.js';
import type { OrderResult } from '../core/contract.js';
import { iso } from '../core/times.js';
import { eventDocument } from './history-rows.js';
import { factLines, table, type Fact } from './output.js';
import { readAgeWords, standing } from './words.js';

/** All that the ledger holds of one session. */
export interface Evidence {
  readonly sessionId: string;
  readonly nowMs: number;
  /** Of each kind so many are read at most. */
  readonly most: number;
  /** Oldest first, as everything here. */
  readonly orders: readonly OrderView[];
  readonly requests: readonly RecordedRequest[];
  readonly targets: readonly { readonly job: BulkJob; readonly target: BulkTarget }[];
  readonly exemptions: readonly RecordedExemption[];
  readonly permits: readonly RecordedPermit[];
  readonly events: readonly HistoryEvent[];
}

export const isEmptyEvidence = ({ orders, requests, targets, exemptions, permits, events }: Evidence): boolean =>
  [orders, requests, targets, exemptions, permits, events].every(({ length }) => length === 0);

/** Times stand by whose clock they are: the vendor's and ours may differ by seconds, and the vendor's answers name whole ones. */
export const evidenceDocument = (evidence: Evidence) => ({
  sessionId: evidence.sessionId,
  now: iso(evidence.nowMs),
  mostOfEach: evidence.most,
  orders: evidence.orders.map(({ orderId, decidedAtMs, holder, result }) => ({
    ...{ orderId, ...result, decidedAt: iso(decidedAtMs) },
    /** The worker that carries it out itself, or has done so; null: a case. */
    holder,
    clocks: { ours: ['orderedAt', 'decidedAt'], vendor: ['endedAt'] },
  })),
  requests: evidence.requests.map(({ vendor, registeredAtMs, ...request }) => ({
    ...request,
    ours: { letOutAt: iso(registeredAtMs) },
    vendor: {
      turnStartedAt: iso(vendor.turnStartedAtMs),
      readAt: iso(vendor.readAtMs),
      leftBy: iso(vendor.leftByMs),
      answeredAt: iso(vendor.answeredAtMs),
    },
  })),
  bulk: evidence.targets.map(({ job, target }) => ({
    ...{ planId: job.planId, hash: job.hash, by: job.appliedBy, reason: job.reason, fast: job.fast, seq: target.seq },
    ...{ state: target.state, turnKey: target.turnKey, status: target.status, attempts: target.attempts },
    ...{ answer: target.answer, answerState: target.answerState, error: target.error, orderId: target.orderId },
    attribution: target.attribution,
    ours: {
      ...{ plannedAt: iso(job.createdAtMs), seenAt: iso(target.seenAtMs), appliedAt: iso(job.appliedAtMs) },
      ...{ sentAt: iso(target.sentAtMs), decidedAt: iso(target.decidedAtMs) },
    },
    vendor: {
      ...{ turnStartedAt: iso(target.turnStartedAtMs), readAt: iso(target.readAtMs) },
      ...{ answeredAt: iso(target.answeredAtMs), endedAt: iso(target.endedAtMs) },
    },
  })),
  exemptions: evidence.exemptions.map(({ sinceMs, untilMs, endedAtMs, ...one }) => ({
    ...{ ...one, since: iso(sinceMs), until: iso(untilMs), endedAt: iso(endedAtMs) },
  })),
  permits: evidence.permits.map(({ takenAtMs, ...permit }) => ({ ...permit, takenAt: iso(takenAtMs) })),
  events: evidence.events.map(eventDocument),
});

/** One page for people. */
export function evidenceWords(evidence: Evidence): string {
  const { sessionId, nowMs, most, orders, requests, targets, exemptions, permits, events } = evidence;
  const sections: (readonly [title: string, count: number, text: () => string])[] = [
    ['Orders', orders.length, () => orders.map((view) => orderFacts(view, nowMs)).join('\n\n')],
    ['Requests for orders', requests.length, () => requestsTable(requests)],
    ['Bulk jobs', targets.length, () => targets.map(targetFacts).join('\n\n')],
    ['Exemptions', exemptions.length, () => exemptionsTable(exemptions)],
    ['Permits under caps of policies', permits.length, () => permitsTable(permits)],
    ['Events', events.length, () => eventLines(events)],
  ];
  const none = sections.filter(([, count]) => count === 0).map(([title]) => title.toLowerCase());
  const cut = sections.some(([, count]) => count === most);
  return [
    `${pc.bold(sessionId)}: all that the ledger holds, read at ${iso(nowMs)}`,
    'Times are UTC. Each says by whose clock it is: "ours" is the ledger’s, "vendor" is Gumloop’s. The two may differ by seconds, and the',
    'vendor’s answers name whole seconds: compare times of one clock only.',
    '',
    ...sections
      .filter(([, count]) => count > 0)
      .map(([title, , text]) => `${pc.bold(title)} (oldest first)\n${text()}\n`),
    ...(none.length === 0 ? [] : [`None: ${none.join(', ')}.`]),
    ...(cut ? [`Only the newest ${most} of a kind are shown.`] : []),
  ].join('\n');
}

const at = (ms: number | null): string => (ms === null ? '–' : iso(ms));

function orderFacts(view: OrderView, nowMs: number): string {
  const { result, orderId, decidedAtMs, holder } = view;
  const rows: Fact[] = [
    ['order', orderId],
    ['by', result.requestedBy],
    ['reason', result.reason.text],
    ...ruleFacts(result),
    ['turn', result.turnKey ?? 'not known'],
    ['agent', result.agentId],
    ['read age', readAgeWords(result)],
    ['ours', `${result.orderedAt} ordered`],
    ['vendor', result.endedAt === null ? null : `${result.endedAt} first seen to be over`],
    ['ours', decidedAtMs === null ? null : `${at(decidedAtMs)} outcome written`],
    ['outcome', standing(view, nowMs)],
    ['case', holder === null ? null : `none in Temporal: carried out by worker ${holder}`],
    ['attributed', result.attribution],
    ['requests', String(result.attempts)],
    ['last error', result.lastError === null ? null : `${result.lastError.at} (ours) ${result.lastError.message}`],
  ];
  return factLines(rows, 10);
}

/** The rule and the numbers that it was judged by, as they were stored with the order. */
function ruleFacts({ reason: { policy, policyVersion, limit, observed } }: OrderResult): Fact[] {
  const json = (data: Readonly<Record<string, unknown>> | null): string | null =>
    data === null
      ? null
      : Object.entries(data)
          .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
          .join(' ');
  return [
    [
      'rule',
      policy === null
        ? null
        : `${policy}, version ${policyVersion ?? 'not known'}${policyVersion === null ? '' : ` (curfew policy show ${policyVersion})`}`,
    ],
    ['limit', json(limit)],
    ['observed', json(observed)],
  ];
}

function requestsTable(requests: readonly RecordedRequest[]): string {
  const rows = requests.map(({ attempt, turnKey, vendor, registeredAtMs, worker, ...request }) => [
    String(attempt),
    turnKey,
    at(vendor.readAtMs),
    at(registeredAtMs),
    at(vendor.leftByMs),
    at(vendor.answeredAtMs),
    answerWords(request),
    worker,
  ]);
  const head = ['NO', 'TURN', 'READ (vendor)', 'LET OUT (ours)', 'LEFT BY (vendor)', 'ANSWERED (vendor)', 'ANSWER'];
  return table([...head, 'WORKER'], rows);
}

function answerWords({
  status,
  answer,
  answerState,
  httpStatus,
  errorCode,
  errorMessage,
}: Pick<RecordedRequest, 'status' | 'answer' | 'answerState' | 'httpStatus' | 'errorCode' | 'errorMessage'>): string {
  if (status === 'withdrawn') return 'not sent: withdrawn';
  if (status === 'open') return 'none recorded: effect unknown';
  const parts = [
    answer ?? 'unknown',
    answerState === null ? null : `state ${answerState}`,
    httpStatus === null ? null : `HTTP ${httpStatus}`,
    errorCode,
    errorMessage,
  ];
  return parts.filter((part) => part !== null).join(', ');
}

function targetFacts({ job, target }: Evidence['targets'][number]): string {
  const rows: Fact[] = [
    ['job', `${job.planId}, target ${target.seq}${job.fast ? ', fast: without a read before the request' : ''}`],
    ['plan', job.hash === null ? null : `SHA-256 ${job.hash}`],
    ['by', job.appliedBy ?? job.createdBy],
    ['reason', job.reason],
    ['turn', `${target.turnKey ?? 'not known'}${target.state === null ? '' : `, seen ${target.state}`}`],
    ['vendor', target.turnStartedAtMs === null ? null : `${at(target.turnStartedAtMs)} turn began`],
    ['ours', `${at(target.seenAtMs)} seen for the plan`],
    ['ours', `${at(job.appliedAtMs)} job applied`],
    ['vendor', target.readAtMs === null ? null : `${at(target.readAtMs)} read before the request`],
    ['ours', target.sentAtMs === null ? null : `${at(target.sentAtMs)} last request let out`],
    [
      'vendor',
      target.answeredAtMs === null
        ? null
        : `${at(target.answeredAtMs)} answered: ${[target.answer, target.answerState].filter((part) => part !== null).join(', state ')}`,
    ],
    ['vendor', target.endedAtMs === null ? null : `${at(target.endedAtMs)} first seen to be over`],
    ['ours', target.decidedAtMs === null ? null : `${at(target.decidedAtMs)} outcome written`],
    ['status', target.orderId === null ? target.status : `${target.status}, order ${target.orderId}`],
    ['attributed', target.attribution],
    ['requests', String(target.attempts)],
    ['last error', target.error === null ? null : `${target.error.at} (ours) ${target.error.message}`],
  ];
  return factLines(rows, 10);
}

const exemptionsTable = (exemptions: readonly RecordedExemption[]): string =>
  table(
    ['SINCE (ours)', 'UNTIL (ours)', 'ENDED (ours)', 'BY', 'WHY'],
    exemptions.map(({ sinceMs, untilMs, endedAtMs, by, reason }) => [
      ...[at(sinceMs), at(untilMs), at(endedAtMs), by, reason ?? '–'],
    ]),
  );

const permitsTable = (permits: readonly RecordedPermit[]): string =>
  table(
    ['TAKEN (ours)', 'POLICY', 'TURN'],
    permits.map(({ takenAtMs, policy, turnKey }) => [at(takenAtMs), policy, turnKey]),
  );

/** Not as a table, which cuts long cells. */
const eventLines = (events: readonly HistoryEvent[]): string =>
  events
    .map(({ event: { at: moment, kind, ...data } }) => `${moment} (ours)  ${kind}  ${JSON.stringify(data)}`)
    .join('\n');
