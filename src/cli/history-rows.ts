import { csv } from '../core/text/csv.js';
import { printableJson, type Printable } from '../core/text/printable.js';
import type { OrderResult } from '../core/contract.js';
import type { HistoryEvent } from '../adapters/ledger/history.js';
import type { OrderView } from '../adapters/ledger/results.js';
import { table } from './output.js';
import { outcomeName, readAgeWords, shorten } from './words.js';
import { wholeSeconds } from '../core/times.js';

const ORDER_COLUMNS = [
  'orderedAt',
  'sessionId',
  'agentId',
  'turnKey',
  'outcome',
  'attribution',
  'policy',
  'policyVersion',
  'limit',
  'limitValue',
  'observed',
  'errorBound',
  'unit',
  'reason',
  'requestedBy',
  'attempts',
  'endedAt',
  'lastErrorAt',
  'lastErrorType',
  'lastErrorMessage',
  'events',
  'maxReadAgeMs',
] as const;

const EVENT_COLUMNS = ['at', 'kind', 'sessionId', 'orderId', 'data'] as const;

/** One order, flat: what is nested has a column each, events are named in their order. */
function orderRecord({
  reason,
  lastError,
  events,
  ...result
}: OrderResult): Record<(typeof ORDER_COLUMNS)[number], unknown> {
  const { orderedAt, sessionId, agentId, turnKey, outcome, attribution, requestedBy, attempts, endedAt, maxReadAgeMs } =
    result;
  return {
    orderedAt,
    sessionId,
    agentId,
    turnKey,
    outcome,
    attribution,
    policy: reason.policy,
    policyVersion: reason.policyVersion,
    limit: reason.limit?.['name'],
    limitValue: reason.limit?.['value'],
    observed: reason.observed?.['value'],
    errorBound: reason.observed?.['errorBound'],
    unit: reason.limit?.['unit'],
    reason: reason.text,
    requestedBy,
    attempts,
    endedAt,
    lastErrorAt: lastError?.at,
    lastErrorType: lastError?.type,
    lastErrorMessage: lastError?.message,
    events: events.map(({ kind }) => kind).join(' '),
    maxReadAgeMs,
  };
}

/** An event, as JSON has it: its data beside time and kind. */
export const eventDocument = ({ sessionId, orderId, event }: HistoryEvent): Record<string, unknown> => ({
  ...event,
  sessionId,
  orderId,
});

function eventRecord({ sessionId, orderId, event }: HistoryEvent): Record<(typeof EVENT_COLUMNS)[number], unknown> {
  const { at, kind, ...data } = event;
  return { at, kind, sessionId, orderId, data: printableJson(data) };
}

export const ordersHeader = (): Printable => csv([[...ORDER_COLUMNS]]);
export const eventsHeader = (): Printable => csv([[...EVENT_COLUMNS]]);

export const ordersCsv = (views: readonly OrderView[]): Printable => {
  const rows = views.map(({ result }) => orderRecord(result));
  return csv(rows.map((row) => ORDER_COLUMNS.map((column) => row[column])));
};
export const eventsCsv = (events: readonly HistoryEvent[]): Printable => {
  const rows = events.map(eventRecord);
  return csv(rows.map((row) => EVENT_COLUMNS.map((column) => row[column])));
};

/** For people: the time, what was ended and what became of it, and by whose word. */
export function ordersTable(views: readonly OrderView[]): string {
  const rows = views.map(({ result }) => [
    wholeSeconds(result.orderedAt),
    result.sessionId,
    result.outcome === null ? 'open' : outcomeName(result.outcome),
    byWords(result),
    shorten([result.reason.text, readAgeWords(result)].filter((part) => part !== null).join('; '), 80),
  ]);
  return table(['ORDERED', 'SESSION', 'OUTCOME', 'BY', 'WHY'], rows);
}

const byWords = ({ requestedBy, reason }: OrderResult): string =>
  reason.policyVersion === null ? requestedBy : `${requestedBy} (version ${reason.policyVersion})`;

export function eventsTable(events: readonly HistoryEvent[]): string {
  const rows = events.map(({ sessionId, event: { at, kind, ...data } }) => [
    wholeSeconds(at),
    kind,
    sessionId ?? '',
    shorten(dataWords(data), 110),
  ]);
  return table(['AT', 'EVENT', 'SESSION', 'WHAT'], rows);
}

/** What was said, where something was; else all of it. `--json` has everything. */
function dataWords(data: Readonly<Record<string, unknown>>): string {
  const { policy, cleanup, text } = data;
  const about = policy ?? cleanup;
  if (typeof text === 'string') return typeof about === 'string' ? `${about}: ${text}` : text;
  return Object.entries(data)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}
