import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import {
  eventDocument,
  eventsCsv,
  eventsHeader,
  ordersCsv,
  ordersHeader,
  ordersTable,
} from '../../src/cli/history-rows.js';
import { readMoment } from '../../src/cli/option-values.js';
import { UserError } from '../../src/core/errors.js';
import type { OrderView } from '../../src/adapters/ledger/results.js';

const view = (given: Partial<OrderView['result']>): OrderView => ({
  orderId: 'order-1',
  phase: 'settled',
  nextTryAtMs: null,
  decidedAtMs: 0,
  holder: null,
  result: {
    sessionId: 'sess_1',
    agentId: 'agent_1',
    turnKey: 'msg_1',
    outcome: 'cancelled',
    attribution: 'strong',
    reason: {
      text: 'has run 47m, limit 45m',
      policy: 'no-all-nighters',
      policyVersion: 3,
      limit: { name: 'max_runtime', value: 2_700_000, unit: 'ms' },
      observed: { value: 2_820_000, errorBound: 10_000, unit: 'ms' },
    },
    requestedBy: 'policy no-all-nighters',
    attempts: 1,
    orderedAt: '2026-01-05T12:00:00.000Z',
    endedAt: '2026-01-05T12:00:03.000Z',
    lastError: null,
    events: [
      { at: '2026-01-05T12:00:04.000Z', kind: 'restarted' },
      { at: '2026-01-05T12:00:05.000Z', kind: 'may-have-hit-newer-turn' },
    ],
    ...given,
  },
});

describe('history as CSV', () => {
  it('has a row per order, with as many cells as the header', () => {
    expect(ordersHeader()).toBe(
      'orderedAt,sessionId,agentId,turnKey,outcome,attribution,policy,policyVersion,limit,limitValue,observed,errorBound,unit,reason,requestedBy,attempts,endedAt,lastErrorAt,lastErrorType,lastErrorMessage,events,maxReadAgeMs\r\n',
    );
    expect(ordersCsv([view({})])).toBe(
      '2026-01-05T12:00:00.000Z,sess_1,agent_1,msg_1,cancelled,strong,no-all-nighters,3,max_runtime,2700000,2820000,10000,ms,"has run 47m, limit 45m",policy no-all-nighters,1,2026-01-05T12:00:03.000Z,,,,restarted may-have-hit-newer-turn,\r\n',
    );
  });

  it.each(['=HYPERLINK("http://example.com")', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1'])(
    'keeps a spreadsheet from running %j',
    (text) => {
      const row = ordersCsv([view({ requestedBy: text })]);
      // A cell is one line: a tab or return at its beginning is gone before a spreadsheet sees it.
      const line = text.trim();
      expect(row).toContain(`,${line.includes('"') ? `"'${line.replaceAll('"', '""')}"` : `'${line}`},1,`);
    },
  );

  it('keeps quotes and commas inside their cell, which is one line', () => {
    const lastError = { at: 'then', type: 'Timeout', message: 'a "b", c\nd' };
    expect(ordersCsv([view({ lastError })])).toContain(',then,Timeout,"a ""b"", c d",');
  });

  it('leaves the cells of an open order without a reason empty', () => {
    const reason = { text: null, policy: null, policyVersion: null, limit: null, observed: null };
    const row = ordersCsv([view({ outcome: null, attribution: null, endedAt: null, reason, events: [] })]);
    expect(row).toBe('2026-01-05T12:00:00.000Z,sess_1,agent_1,msg_1,,,,,,,,,,,policy no-all-nighters,1,,,,,,\r\n');
  });

  it('says how old a read an order may go by, where a person has said so', () => {
    expect(ordersCsv([view({ maxReadAgeMs: 10_000 })])).toMatch(/,10000\r\n$/);
    expect(ordersTable([view({ maxReadAgeMs: 10_000 })])).toContain('uses reads up to 10 s old');
  });

  it('has events with their data as JSON', () => {
    const event = {
      sessionId: 'sess_1',
      orderId: null,
      event: { at: '2026-01-05T12:00:00.000Z', kind: 'warned', policy: 'a' },
    };
    expect(eventsHeader()).toBe('at,kind,sessionId,orderId,data\r\n');
    expect(eventsCsv([event])).toBe('2026-01-05T12:00:00.000Z,warned,sess_1,,"{""policy"":""a""}"\r\n');
    expect(eventDocument(event)).toEqual(
      parse('{at: "2026-01-05T12:00:00.000Z", kind: warned, policy: a, sessionId: sess_1, orderId: null}'),
    );
  });
});

describe('a moment on the command line', () => {
  const now = Date.UTC(2026, 0, 5, 12, 0, 0);

  it.each([
    ['2h', Date.UTC(2026, 0, 5, 10, 0, 0)],
    ['7d', Date.UTC(2025, 11, 29, 12, 0, 0)],
    ['2026-01-05T11:00:00Z', Date.UTC(2026, 0, 5, 11, 0, 0)],
    ['2026-01-05T11:00+01:00', Date.UTC(2026, 0, 5, 10, 0, 0)],
    ['2026-01-05', Date.UTC(2026, 0, 5, 0, 0, 0)],
  ])('%s is read', (text, at) => {
    expect(readMoment(text, '--since', now)).toBe(at);
  });

  it.each(['', 'yesterday', '7', '-2h', '2026-13-01', '2026-02-30', '12:00'])('%j is no time', (text) => {
    expect(() => readMoment(text, '--since', now)).toThrow(UserError);
  });
});
