import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { summarizeLines } from '../../src/cli/log-summaries.js';
import { logSentence } from '../../src/cli/log-words.js';
import { groupLines, type GroupedLogger } from '../../src/platform/grouped-log.js';
import { prettyLine } from '../../src/platform/pretty-line.js';
import { RecordingLog } from '../support/recording-log.js';

let lines: RecordingLog;
let log: GroupedLogger;

beforeEach(() => {
  jest.useFakeTimers();
  lines = new RecordingLog();
  log = summarizeLines(lines.log, groupLines(lines.log, Date.now), Date.now);
});
afterEach(() => {
  log.close();
  jest.useRealTimers();
});

/** What stands on the screen. */
const screen = (): string[] =>
  lines.written().map(({ data, message }) => prettyLine({ ...data, msg: message }, logSentence, false));

const wouldEnd = (sessionId: string, more: Readonly<Record<string, unknown>> = {}): void =>
  log.warn(
    {
      ...{
        sessionId,
        policy: 'support-limits',
        policyVersion: 1,
        mode: 'observe',
        turnKey: 'msg_1',
        agentId: 'agent_1',
      },
      ...{
        limit: 'max_runtime',
        text: 'has run 50m, limit 45m; counted from its message',
        observed: 50,
        limitValue: 45,
      },
      ...{ agentName: 'support-bot', unit: 'ms', errorBound: 10, ...more },
    },
    'would-end',
  );

describe('what one scan finds', () => {
  it('is one line for each policy, with the limits and the worst of all', () => {
    for (let index = 0; index < 403; index += 1) wouldEnd(`sess_${index}`);
    wouldEnd('sess_rich', {
      limit: 'max_session_credits',
      text: 'has spent 9096 credits',
      observed: 9_096,
      limitValue: 5_000,
    });
    wouldEnd('sess_stuck', { text: 'has run 3h 2m, limit 45m; counted from its message', observed: 182 });
    for (let index = 0; index < 3; index += 1) wouldEnd(`sess_night_${index}`, { policy: 'night', breaker: 'open' });
    jest.advanceTimersByTime(3_000);
    expect(screen()).toEqual([
      'support-limits would end 405 turns (max_runtime 404, max_session_credits 1); first: sess_stuck has run 3h 2m, limit 45m. See: curfew status',
      'night, whose breaker is open, would end 3 turns (max_runtime 3); first: sess_night_0 has run 50m, limit 45m. See: curfew status',
    ]);
    // Each is at `debug`.
    expect(lines.subjects()).toHaveLength(408);
  });

  it('is one line although its reads take a while, and the next scan is another', () => {
    for (let index = 0; index < 40; index += 1) {
      wouldEnd(`sess_${index}`);
      jest.advanceTimersByTime(200);
    }
    jest.advanceTimersByTime(15_000);
    for (let index = 0; index < 5; index += 1) wouldEnd(`later_${index}`);
    jest.advanceTimersByTime(3_000);
    expect(screen().map((line) => line.slice(0, 34))).toEqual([
      'support-limits would end 40 turns ',
      'support-limits would end 5 turns (',
    ]);
  });

  it('is told every 15 s as long as it goes on', () => {
    for (let second = 0; second < 60; second += 1) {
      wouldEnd(`sess_${second}`);
      jest.advanceTimersByTime(1_000);
    }
    log.close();
    expect(screen().length).toBeGreaterThan(2);
    expect(screen().length).toBeLessThan(7);
  });

  it('is said one by one, in words, when it is little', () => {
    wouldEnd('sess_1');
    jest.advanceTimersByTime(3_000);
    expect(screen()).toEqual([
      'support-limits would end the turn of sess_1: has run 50m, limit 45m; counted from its message',
    ]);
  });
});

it('what becomes of many is counted by outcome', () => {
  for (let index = 0; index < 10; index += 1) {
    const sessionId = `sess_${index}`;
    log.warn(
      { sessionId, turnKey: 'm', orderId: `o${index}`, policy: 'night', version: 3, reason: 'has run 46m, limit 45m' },
      'policy ordered the end of a turn',
    );
    log.info({ sessionId, attempt: 1, answer: 'accepted', state: 'aborted' }, 'cancel request answered');
    log.info(
      {
        sessionId,
        orderId: `o${index}`,
        outcome: index < 8 ? 'cancelled' : 'gone',
        attribution: 'strong',
        attempts: 1,
      },
      'order settled',
    );
  }
  log.close();
  expect(screen()).toEqual([
    'night ends 10 turns; first: sess_0 has run 46m, limit 45m. See: curfew cases --open',
    '10 cancel requests answered (accepted 10)',
    '10 orders settled (cancelled 8, gone 2). See: curfew history',
  ]);
});

it('alerts and all else go on as they came', () => {
  log.error({ sessionId: 'sess_1', orderId: 'o1', why: 'nobody answers' }, 'not-ending');
  log.warn('a line about nothing known');
  log.info({ url: 'http://127.0.0.1:9464' }, 'serving metrics and health');
  expect(lines.all).toEqual([
    { level: 'error', data: { sessionId: 'sess_1', orderId: 'o1', why: 'nobody answers' }, message: 'not-ending' },
    { level: 'warn', data: {}, message: 'a line about nothing known' },
    { level: 'info', data: { url: 'http://127.0.0.1:9464' }, message: 'serving metrics and health' },
  ]);
});

describe('a line for people', () => {
  const line = (record: Record<string, unknown>): string =>
    prettyLine({ level: 40, time: 'x', ...record }, logSentence, false);

  it('has no JSON: fields are words, or key=value', () => {
    expect(
      line({
        ...{
          msg: 'notification route ops: no answer (ENOTFOUND)',
          workflowId: 'notify/ops',
          trace_id: 'a',
          span_id: 'b',
        },
        ...{ route: 'ops', items: 20, afterMs: 2_000 },
      }),
    ).toBe('notification route ops: no answer (ENOTFOUND); a message of 20 notices waits, next try in 2s');
    expect(
      line({ msg: 'not-ending', sessionId: 'sess_1', caseId: 'cancel/sess_1', orderId: 'o1', why: 'two words' }),
    ).toBe('sess_1: not-ending orderId=o1 why="two words"');
    expect(
      line({ msg: '250 more: retrieve of # got 503', more: 250, first: ['sess_1', 'sess_2'], sessionId: 'sess_9' }),
    ).toBe('250 more: retrieve of # got 503; first: sess_1, sess_2');
    expect(line({ msg: 'removed', total: { orders: 3, events: 0 }, untilMs: Date.UTC(2026, 0, 5), none: null })).toBe(
      'removed total.orders=3 total.events=0 until=2026-01-05T00:00:00.000Z',
    );
    expect(
      line({
        msg: 'order settled',
        sessionId: 'sess_1',
        orderId: 'o',
        outcome: 'cancelled',
        attribution: 'strong',
        attempts: 2,
      }),
    ).toBe('sess_1: cancelled, ended by our request; 2 requests sent');
  });

  it('says an error once, and shows where it came from only when asked', () => {
    const err = { type: 'Error', message: 'no route', stack: 'Error: no route\n    at one (a.js:1:1)' };
    expect(line({ msg: 'could not start a case', sessionId: 'sess_1', err })).toBe(
      'sess_1: could not start a case: no route',
    );
    expect(prettyLine({ msg: 'could not start a case', err }, logSentence, true)).toBe(
      'could not start a case: no route\n    at one (a.js:1:1)',
    );
  });
});
