import { atLeast, atMost, ratio, type Goal } from './figures.js';
import type { FleetShape } from './fleet.js';
import type { TemporalFigures } from './temporal-actions.js';
import type { RunFigures } from './watched-run.js';

/** What the run was set to. */
export interface Setting {
  readonly shape: FleetShape;
  readonly duePerSecond: number;
  readonly requestsPerSecond: number;
  /** Of the naive poller; null: as many as it can. */
  readonly naiveRate: number | null;
}

/** The points that the goals are for. */
const DUE_PER_SECOND = 10;
const REQUESTS_PER_SECOND = 200;
const SMALL = 1_000;
const LARGE = 10_000;
const BURST = 300;
/** Sessions an agent. */
const WELL_FILLED = 100;

/** Limits that the design names, beside what was measured; each is judged only where it applies. */
export function goalsOf(
  curfew: RunFigures,
  temporal: TemporalFigures | null,
  naive: RunFigures | null,
  { shape, duePerSecond, requestsPerSecond, naiveRate }: Setting,
): Readonly<Record<string, Goal>> {
  const { sessions, agents, burst } = shape;
  const { steady, violations } = curfew.windows;
  const paced = duePerSecond === DUE_PER_SECOND;
  const small = sessions === SMALL && requestsPerSecond === REQUESTS_PER_SECOND;
  const large = sessions === LARGE && sessions / agents >= WELL_FILLED && paced;
  const equalPoller = naiveRate === null || naiveRate >= REQUESTS_PER_SECOND;
  const lagP99 = curfew.lagMs.runtime?.p99 ?? null;
  const peakMb = curfew.rssPeakBytes === null ? null : Math.round(curfew.rssPeakBytes / 1e6);
  return {
    lagP99At1000Ms: atMost(
      'deadline to cancel request, p99 at most 1 s: 1,000 live, 10 due a second, 200 requests/s',
      1_000,
      lagP99,
      small && paced,
    ),
    lagP99ToNaive: atLeast(
      "the naive poller's p99 is at least ten times as long, at the same point",
      10,
      ratio(lagP99, naive?.lagMs.runtime?.p99),
      small && paced && equalPoller,
    ),
    lagP99At10000Ms: atMost(
      'deadline to cancel request, p99 at most 2 s: 10,000 live, 100 an agent, 10 due a second',
      2_000,
      lagP99,
      large,
    ),
    violatorsNotAsked: atMost(
      'every violator gets a cancel request',
      0,
      curfew.violators.total - curfew.violators.asked,
    ),
    burstAllAskedMs: atMost(
      'a burst of 300 is asked to end within 5 s: 1,000 live, 200 requests/s',
      5_000,
      // Not all were asked: as long as there was time for it, and longer.
      curfew.burst === null ? null : (curfew.burst.untilAllAskedMs ?? Infinity),
      small && burst?.sessions === BURST,
    ),
    requestsPerViolator: atMost(
      'requests per violator that ends at the first request, lists apart, at most 3 on average',
      3,
      curfew.requestsPerViolator.mean,
    ),
    actionsPerViolator: atMost('Temporal actions per violator at most 1', 1, temporal?.actionsPerViolator ?? null),
    serverCpuSecondsPerMinute: atMost(
      "the Temporal server's CPU at most 5 s a minute while 10 are due a second",
      5,
      violations.serverCpuSecondsPerMinute,
      paced && sessions >= SMALL,
    ),
    workerCpuSecondsPerMinute: atMost(
      "the worker's CPU at most 15 s a minute while 10 are due a second",
      15,
      violations.cpuSecondsPerMinute,
      paced && sessions >= SMALL,
    ),
    rssPeakMb: atMost('memory of the worker at most 500 MB: 10,000 live, 10 due a second', 500, peakMb, large),
    innocentsTouched: atMost('no turn that broke nothing is asked', 0, curfew.innocentsTouched),
    early: atMost('no request before a deadline', 0, curfew.violators.early),
    casesOnInnocents: atMost('no workflow for a well-behaved session', 0, temporal?.casesOnInnocents ?? null),
    requestsPerSessionHour: atMost(
      'list and retrieve at most 6 per live session-hour, at 100 sessions an agent',
      6,
      steady.requestsPerSessionHour.listAndRetrieve,
      sessions / agents >= WELL_FILLED,
    ),
  };
}

/** How many times as much another contestant has: above 1 it is worse. Null where one has nothing to compare. */
export const ratiosOf = (curfew: RunFigures, other: RunFigures): Readonly<Record<string, number | null>> => ({
  lagP50: ratio(curfew.lagMs.runtime?.p50, other.lagMs.runtime?.p50),
  lagP99: ratio(curfew.lagMs.runtime?.p99, other.lagMs.runtime?.p99),
  burstLagP99: ratio(curfew.burst?.lagMs?.p99, other.burst?.lagMs?.p99),
  burstUntilAllAsked: ratio(curfew.burst?.untilAllAskedMs, other.burst?.untilAllAskedMs),
  requestsPerViolator: ratio(curfew.requestsPerViolator.mean, other.requestsPerViolator.mean),
  requestsPerSessionHour: ratio(
    curfew.windows.steady.requestsPerSessionHour.listAndRetrieve,
    other.windows.steady.requestsPerSessionHour.listAndRetrieve,
  ),
  cpuSteady: ratio(curfew.windows.steady.cpuSecondsPerMinute, other.windows.steady.cpuSecondsPerMinute),
  cpuViolations: ratio(curfew.windows.violations.cpuSecondsPerMinute, other.windows.violations.cpuSecondsPerMinute),
  serverCpuViolations: ratio(
    curfew.windows.violations.serverCpuSecondsPerMinute,
    other.windows.violations.serverCpuSecondsPerMinute,
  ),
  cpuPerViolator: ratio(curfew.cpuSecondsPerViolator.worker, other.cpuSecondsPerViolator.worker),
  rssPeak: ratio(curfew.rssPeakBytes, other.rssPeakBytes),
});
