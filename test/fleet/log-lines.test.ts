import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { groupLines, type GroupedLogger } from '../../src/platform/grouped-log.js';
import type { TryAgain } from '../../src/core/try-again.js';
import { policy } from '../policy/observing.js';
import { RecordingLog } from '../support/recording-log.js';
import {
  BEGINNING,
  HOUR,
  MINUTE,
  openFleetHarness,
  SECOND,
  turnSince,
  type FleetHarness,
} from '../support/scripted-fleet.js';

const FLOOD = 405;
const rule = policy({ max_runtime: 10 * MINUTE }, { caps: { maxCancels: 10_000, maxPercent: 100, perMs: HOUR } });
const ids = Array.from({ length: FLOOD }, (_, index) => `session-${index}`);

let harness: FleetHarness;
let lines: RecordingLog;
let log: GroupedLogger;

beforeEach(async () => {
  harness = await openFleetHarness();
  lines = new RecordingLog();
  log = groupLines(lines.log, harness.clock.monotonic);
  for (const agent of ['agent-1', 'agent-2', 'agent-3']) harness.fleet.agent(agent);
});

afterEach(async () => {
  log.close();
  await harness.close();
});

describe('405 turns that are over their limit in one scan', () => {
  beforeEach(() => {
    for (const [index, id] of ids.entries()) {
      harness.fleet.session(id, turnSince(BEGINNING - HOUR), `agent-${(index % 3) + 1}`);
    }
  });

  it.each(['enforce', 'observe'] as const)(
    'are at most ten lines, with each in the ledger and at debug: %s',
    async (mode) => {
      await harness.apply([{ ...rule, mode }]);
      await harness.process({ log }).run(2 * MINUTE);
      log.close();
      const written = mode === 'enforce' ? await harness.orders() : await harness.events('would-end');
      expect(new Set(written.map(({ sessionId }) => sessionId))).toEqual(new Set(ids));
      expect(lines.written().length).toBeLessThanOrEqual(10);
      expect(lines.written()[0]).toMatchObject({
        level: 'warn',
        data: { sessionId: expect.stringMatching(/^session-/) },
      });
      expect(new Set(lines.subjects())).toEqual(new Set(ids));
      expect(lines.counted()).toBe(FLOOD);
    },
  );
});

describe('a case', () => {
  const SESSION = 'session-1';
  const linesOfTheCase = async (stop?: (wait: TryAgain) => boolean): Promise<number> => {
    harness.fleet.session(SESSION, turnSince(BEGINNING - HOUR));
    await harness.apply([rule]);
    await harness.process({ log }).run(5 * SECOND);
    await harness.carryOut(SESSION, stop, log);
    log.close();
    expect(await harness.orders()).toMatchObject([{ outcome: expect.any(String) }]);
    return lines.written().filter(({ data }) => data['sessionId'] === SESSION).length;
  };

  it('that goes well says why it was ordered, what was answered, and how it came out', async () => {
    expect(await linesOfTheCase()).toBe(3);
    expect(lines.written().map(({ message }) => message)).toEqual([
      'policy ordered the end of a turn',
      'cancel request answered',
      'order settled',
    ]);
  });

  it('in a storm of every failure is at most six lines', async () => {
    const kinds = ['server-error', 'timeout', 'rate-limited', 'failed-to-abort', 'connection-lost'] as const;
    let calls = 0;
    harness.fleet.fails = ({ operation }) => {
      if (operation !== 'retrieveSession' && operation !== 'cancelSession') return null;
      calls += 1;
      return calls < 60 && calls % 4 !== 0 ? (kinds[calls % kinds.length] ?? null) : null;
    };
    expect(await linesOfTheCase()).toBeLessThanOrEqual(6);
    expect(lines.written().at(-1)).toMatchObject({ message: 'order settled' });
    expect(lines.all.filter(({ level }) => level === 'debug').length).toBeGreaterThan(20);
  });

  it('that does not end for hours is at most six lines, the alert among them', async () => {
    harness.fleet.cancelAnswers = (_, call) => (call < 100 ? 'processing' : 'failed');
    expect(await linesOfTheCase()).toBeLessThanOrEqual(6);
    const said = lines.written().map(({ message }) => message);
    expect(said).toEqual(expect.arrayContaining(['not-ending', 'order settled']));
    expect(harness.fleet.cancels.length).toBe(101);
    expect(await harness.events('not-ending')).toHaveLength(1);
  });
});
