import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { groupLines, type GroupedLogger } from '../src/platform/grouped-log.js';
import { aboutWorkflow, logAbout } from '../src/platform/log-context.js';
import { RecordingLog } from './support/recording-log.js';

let lines: RecordingLog;
let log: GroupedLogger;

beforeEach(() => {
  jest.useFakeTimers();
  lines = new RecordingLog();
  log = groupLines(lines.log, Date.now);
});

afterEach(() => {
  log.close();
  jest.useRealTimers();
});

const messages = (): string[] => lines.written().map(({ message }) => message);
const sessions = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `sess_${from + index}`);
const sayOf = (ids: readonly string[], message: string): void => {
  for (const sessionId of ids) log.warn({ sessionId, orderId: `order-${sessionId}` }, message);
};

describe('lines of one kind about many sessions', () => {
  it('are written at once, one by one, when they are few', () => {
    sayOf(sessions(0, 1), 'ordered');
    expect(messages()).toEqual(['ordered']);
    sayOf(sessions(1, 3), 'ordered');
    expect(messages()).toEqual(['ordered']);
    jest.advanceTimersByTime(6_000);
    expect(lines.written().map(({ data }) => data['sessionId'])).toEqual(sessions(0, 3));
    expect(lines.all.every(({ level }) => level === 'warn')).toBe(true);
  });

  it('are one line with their number and the first ids when they are many, and each is at debug', () => {
    sayOf(sessions(0, 405), 'ordered');
    jest.advanceTimersByTime(6_000);
    expect(lines.written()).toEqual([
      { level: 'warn', data: { sessionId: 'sess_0', orderId: 'order-sess_0' }, message: 'ordered' },
      { level: 'warn', data: { more: 404, first: sessions(1, 6) }, message: '404 more: ordered' },
    ]);
    expect(lines.subjects()).toEqual(sessions(0, 405));
  });

  it('are one line a minute while they go on coming, and come at once again after it', () => {
    for (let second = 0; second < 300; second += 1) {
      sayOf(sessions(second * 10, second * 10 + 10), 'ordered');
      jest.advanceTimersByTime(1_000);
    }
    expect(lines.written().length).toBeLessThanOrEqual(7);
    jest.advanceTimersByTime(120_000);
    expect(lines.counted()).toBe(3_000);
    const before = lines.written().length;
    sayOf(['sess_late'], 'ordered');
    expect(lines.written()).toHaveLength(before + 1);
  });

  it('are of one kind whatever ids and numbers stand in them, and errors are not mixed with the rest', () => {
    for (const sessionId of sessions(0, 50)) {
      log.warn({ sessionId }, `retrieve of ${sessionId} got HTTP 503, request req_${sessionId}a7`);
      log.error({ sessionId, orderId: sessionId }, 'not-ending');
    }
    log.close();
    expect(lines.written().map(({ level, data: { more } }) => [level, more])).toEqual([
      ['warn', undefined],
      ['error', undefined],
      ['warn', 49],
      ['error', 49],
    ]);
  });

  it('stay few when each says something else', () => {
    const word = (number: number): string => number.toString(26).replace(/\d/g, (digit) => 'qrstuvwxyz'[+digit] ?? '');
    for (const [index, sessionId] of sessions(0, 5_000).entries()) log.warn({ sessionId }, `refused: ${word(index)}`);
    log.close();
    expect(lines.written().length).toBeLessThanOrEqual(102);
    expect(lines.counted()).toBe(5_000);
  });

  it('are written before the process leaves', () => {
    sayOf(sessions(0, 2), 'ordered');
    log.close();
    expect(lines.counted()).toBe(2);
  });
});

describe('what is said again of the same session', () => {
  it('is said once, whatever its numbers, until it was quiet for ten minutes', () => {
    for (let times = 0; times < 100; times += 1) {
      log.warn({ sessionId: 'sess_1', afterMs: times }, `read took ${times} ms: nothing was sent`);
      jest.advanceTimersByTime(60_000);
    }
    expect(messages()).toEqual(['read took 0 ms: nothing was sent']);
    jest.advanceTimersByTime(10 * 60_000);
    log.warn({ sessionId: 'sess_1', afterMs: 1 }, 'read took 7 ms: nothing was sent');
    expect(messages()).toHaveLength(2);
  });

  it('is said when it is of another order, or has another answer', () => {
    for (const orderId of ['a', 'b']) {
      for (const answer of ['accepted', 'refused']) {
        log.info({ sessionId: 'sess_1', orderId, answer }, 'answered');
        jest.advanceTimersByTime(6_000);
      }
    }
    expect(messages()).toHaveLength(4);
  });

  it('is told whatever it holds: what is no JSON, too', () => {
    const data: Record<string, unknown> = { sessionId: 'sess_1', big: 10n };
    data['itself'] = data;
    log.warn(data, 'odd');
    expect(messages()).toEqual(['odd']);
  });
});

describe('what a case goes through', () => {
  it('is two lines; those about its orders and errors come besides', () => {
    logAbout(aboutWorkflow('cancel/sess_1'), () => {
      for (const word of ['paused', 'refused', 'slow', 'away']) {
        log.warn({ sessionId: 'sess_1' }, `waits: ${word}`);
        jest.advanceTimersByTime(6_000);
      }
      log.error({ sessionId: 'sess_1', orderId: 'a' }, 'not-ending');
      log.error('the vendor refuses this account');
      log.info({ sessionId: 'sess_1', orderId: 'a' }, 'order settled');
    });
    expect(messages()).toEqual([
      'waits: paused',
      'waits: refused',
      'not-ending',
      'the vendor refuses this account',
      'order settled',
    ]);
    expect(lines.written().every(({ data }) => data['caseId'] === 'cancel/sess_1')).toBe(true);
  });

  it('keeps what it was about while it waits to be written', () => {
    for (const id of ['sess_1', 'sess_2']) {
      logAbout(aboutWorkflow(`cancel/${id}`), () => log.info({ orderId: id }, 'order settled'));
    }
    logAbout(aboutWorkflow('cancel/sess_3'), () => jest.advanceTimersByTime(6_000));
    expect(lines.written().map(({ data }) => data['caseId'])).toEqual(['cancel/sess_1', 'cancel/sess_2']);
  });
});

it('lines about no session and no agent go through as they are', () => {
  for (let times = 0; times < 3; times += 1) log.info({ route: 'ops' }, 'the notification route works again');
  log.warn('Trying again in 100 ms.');
  expect(lines.all).toHaveLength(4);
  expect(lines.all[3]).toEqual({ level: 'warn', data: {}, message: 'Trying again in 100 ms.' });
});
