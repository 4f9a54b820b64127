import { describe, expect, it } from '@jest/globals';
import { goalsOf, ratiosOf, type Setting } from '../../bench/enforcement-goals.js';
import type { RunFigures, WindowFigures } from '../../bench/watched-run.js';

const spread = (p99: number) => ({ count: 100, p50: p99 / 2, p99, max: p99 });
const requests = { listAndRetrieve: 5, list: 5, retrieve: 0, cancel: 0, other: 0 };
const window: WindowFigures = {
  ...{ seconds: 30, requestsPerSecond: 1, requestsPerSessionHour: requests },
  ...{ cpuSecondsPerMinute: 10, serverCpuSecondsPerMinute: 4, rssBytes: 1, rssPeakBytes: 1 },
  ...{ storedBytesGrowth: 0, loadAverage: 1 },
};
const figures = (over: Partial<RunFigures>): RunFigures => ({
  ...{ liveSessions: 1_000, kinds: {}, lagMs: { runtime: spread(900), credits: null }, burst: null },
  violators: { total: 310, asked: 310, ended: 310, early: 0 },
  requestsPerViolator: {
    ...{ violators: 310, mean: 2.1, max: 3 },
    byKind: { retrieve: { mean: 1.1, max: 2 }, cancel: { mean: 1, max: 1 }, other: { mean: 0, max: 0 } },
  },
  ...{ innocentsTouched: 0, mostCancelsOfOneSession: 1 },
  windows: {
    ...{ warmUp: window, steady: window, violations: window },
    ...{ settle: null, burst: null, drain: window },
  },
  cpuSecondsPerViolator: { worker: 0.01, server: 0 },
  ...{ rssPeakBytes: 450e6, serverRssPeakBytes: 200e6, firstSightSeconds: 5 },
  ...{ steady: { fromMs: 0, toMs: 1 }, violations: { fromMs: 1, toMs: 2 } },
  ...over,
});
const setting = (over: Partial<Setting> & { sessions?: number; agents?: number; burst?: number } = {}): Setting => {
  const { sessions = 1_000, agents = 100, burst, ...rest } = over;
  return {
    shape: {
      ...{ sessions, agents, violators: { runtime: 300, credits: 10, fromMs: 0, toMs: 1 } },
      ...(burst === undefined ? {} : { burst: { sessions: burst, fromMs: 2 } }),
    },
    ...{ duePerSecond: 10, requestsPerSecond: 200, naiveRate: 200, ...rest },
  };
};
const met = (curfew: RunFigures, naive: RunFigures | null, at: Setting): Readonly<Record<string, boolean | null>> =>
  Object.fromEntries(Object.entries(goalsOf(curfew, null, naive, at)).map(([name, goal]) => [name, goal.met]));

describe('the goals of enforcement', () => {
  const naive = figures({ lagMs: { runtime: spread(9_000), credits: null } });

  it('are met by a run that meets them', () => {
    const judged = met(figures({}), naive, setting());
    expect(judged).toMatchObject({ lagP99At1000Ms: true, lagP99ToNaive: true, serverCpuSecondsPerMinute: true });
    expect(Object.values(judged)).not.toContain(false);
  });

  it('are missed by as little as there is', () => {
    const missed = figures({
      lagMs: { runtime: spread(1_001), credits: null },
      violators: { total: 310, asked: 309, ended: 309, early: 1 },
      innocentsTouched: 1,
      requestsPerViolator: { ...figures({}).requestsPerViolator, mean: 3.01 },
      windows: {
        ...figures({}).windows,
        violations: { ...window, cpuSecondsPerMinute: 15.1, serverCpuSecondsPerMinute: 5.1 },
      },
    });
    expect(met(missed, naive, setting())).toMatchObject({
      ...{ lagP99At1000Ms: false, lagP99ToNaive: false, violatorsNotAsked: false, early: false },
      ...{ innocentsTouched: false, requestsPerViolator: false },
      ...{ serverCpuSecondsPerMinute: false, workerCpuSecondsPerMinute: false },
    });
  });

  it('are judged only at the points that they are for', () => {
    const far = met(figures({}), naive, setting({ sessions: 500, requestsPerSecond: 50, naiveRate: 50 }));
    const points = ['lagP99At1000Ms', 'lagP99ToNaive', 'lagP99At10000Ms', 'burstAllAskedMs', 'rssPeakMb'];
    expect(points.map((name) => far[name])).toEqual([null, null, null, null, null]);
    expect(far['requestsPerSessionHour']).toBeNull();
    const many = figures({ rssPeakBytes: 501e6 });
    expect(met(many, null, setting({ sessions: 10_000 }))).toMatchObject({
      ...{ lagP99At1000Ms: null, lagP99At10000Ms: true, rssPeakMb: false, requestsPerSessionHour: true },
    });
  });

  it('say that a burst of which not all were asked has failed', () => {
    const burst = { turns: 300, asked: 299, dueWithinMs: 997, lagMs: spread(400), untilAllAskedMs: null };
    const at = setting({ burst: 300 });
    expect(met(figures({ burst }), null, at)['burstAllAskedMs']).toBe(false);
    expect(met(figures({ burst: { ...burst, untilAllAskedMs: 5_000 } }), null, at)['burstAllAskedMs']).toBe(true);
    expect(met(figures({ burst: { ...burst, untilAllAskedMs: 5_001 } }), null, at)['burstAllAskedMs']).toBe(false);
    expect(met(figures({ burst }), null, setting({ burst: 20 }))['burstAllAskedMs']).toBeNull();
  });
});

it('divides the figures of another contestant by those of Curfew, and says null where one has none', () => {
  const other = figures({ lagMs: { runtime: spread(9_000), credits: null }, rssPeakBytes: null });
  expect(ratiosOf(figures({}), other)).toMatchObject({ lagP99: 10, burstLagP99: null, rssPeak: null, cpuSteady: 1 });
});
