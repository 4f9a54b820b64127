import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { EVENT_KINDS } from '../../core/events.js';
import type { OrderedBy } from '../../core/orders.js';
import type { Logger } from '../../platform/telemetry.js';
import { VERSION } from '../../platform/version.js';
import * as buckets from './buckets.js';
import type { Meters } from '../../adapters/meters.js';

/** What this process counts, and where it is read. */
export interface ProcessMetrics {
  readonly registry: Registry;
  readonly meters: Meters;
}

export interface ProcessMetricsOptions {
  /** Time between two scans of the fleet, ms. */
  readonly scanMs: number;
  readonly log: Pick<Logger, 'error'>;
  /** Also memory, CPU, garbage collection and event loop of this process, under the names that Node services have in common. */
  readonly ofProcess: boolean;
}

/** Operations that every worker uses: shown from the start, so that their first request is an increase and not a beginning. */
const OPERATIONS = [
  'listTeams',
  'listAgents',
  'listSessions',
  'retrieveSession',
  'cancelSession',
  'listQueue',
] as const;
const OPENED_BY = ['watch', 'bulk', 'cleanup'] as const satisfies readonly OrderedBy[];

/** A registry of its own: two in one process, as in tests, share nothing. */
export function createProcessMetrics({ scanMs, log, ofProcess }: ProcessMetricsOptions): ProcessMetrics {
  const registry = new Registry();
  const registers = [registry];
  if (ofProcess) collectDefaultMetrics({ register: registry });

  const gauge = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Gauge({ name, help, labelNames, registers });
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = <Label extends string>(
    name: string,
    help: string,
    upTo: readonly number[],
    labelNames: readonly Label[] = [],
  ) => new Histogram({ name, help, labelNames, buckets: [...upTo], registers });

  gauge('curfew_build_info', 'Always 1; the label tells the version of Curfew.', ['version']).set(
    { version: VERSION },
    1,
  );
  gauge('curfew_scan_interval_seconds', 'Setting: time between two scans of the fleet.').set(scanMs / 1_000);
  const opened = counter(
    'curfew_orders_opened_total',
    'Orders written by this process. Those of people are written by their commands, and not counted.',
    ['by', 'policy'],
  );
  const settled = counter(
    'curfew_orders_settled_total',
    'Orders, and targets of bulk jobs, that got their outcome from this process.',
    ['outcome', 'attribution', 'by', 'policy'],
  );
  const detectionLag = histogram(
    'curfew_detection_lag_seconds',
    'From the computed deadline of a turn to the order of its end, for time limits of policies.',
    buckets.DETECTION_LAG,
    ['policy'],
  );
  const accepted = histogram(
    'curfew_decision_to_accepted_seconds',
    'From an order to its first cancel request that the vendor accepted (2xx).',
    buckets.DECISION_TO_ACCEPTED,
    ['by'],
  );
  const confirmed = histogram(
    'curfew_accepted_to_confirmed_seconds',
    'From the first accepted cancel request of an order, or of a target of a bulk job, to its outcome.',
    buckets.ACCEPTED_TO_CONFIRMED,
    ['by'],
  );
  const overran = histogram(
    'curfew_overshoot_seconds',
    'How long past its limit a turn that a policy ended had run when it was seen over. Grace is part of it.',
    buckets.OVERSHOOT,
    ['policy', 'limit'],
  );
  const overspent = histogram(
    'curfew_overshoot_credits',
    'How many credits past its limit a turn that a policy ended had spent when it was seen over.',
    buckets.OVERSPENDING,
    ['policy', 'limit'],
  );
  const events = counter(
    'curfew_events_total',
    'Events that this process recorded, by kind; docs/outcomes.md explains each.',
    ['kind'],
  );
  const requests = counter(
    'curfew_api_requests_total',
    'Requests to the vendor, by operation and by how they went: ok, or the kind of failure.',
    ['operation', 'result'],
  );
  const requestDuration = histogram(
    'curfew_api_request_duration_seconds',
    'How long requests to the vendor took, whatever came of them.',
    buckets.API_REQUEST,
    ['operation'],
  );
  const scans = counter(
    'curfew_scans_total',
    'Scans of the fleet by this process; incomplete: some of it could not be read.',
    ['result'],
  );
  const scanDuration = histogram('curfew_scan_duration_seconds', 'How long scans of the fleet took.', buckets.SCAN);
  const notifications = counter('curfew_notifications_total', 'Attempts to send a notification, by route.', [
    'route',
    'result',
  ]);

  // A counter that begins with its first event shows no increase by it: what is known beforehand begins at 0.
  for (const by of OPENED_BY) opened.inc({ by, policy: '' }, 0);
  for (const kind of EVENT_KINDS) events.inc({ kind }, 0);
  for (const operation of OPERATIONS) requests.inc({ operation, result: 'ok' }, 0);
  for (const result of ['complete', 'incomplete']) scans.inc({ result }, 0);

  const meters: Meters = {
    orderOpened: (by, policy) => opened.inc({ by, policy: policy ?? '' }),
    orderSettled: ({ outcome, attribution, by, policy }) =>
      settled.inc({ outcome, attribution: attribution ?? 'none', by, policy: policy ?? '' }),
    detected: (policy, lagMs) => detectionLag.observe({ policy }, seconds(lagMs)),
    accepted: (by, afterMs) => accepted.observe({ by }, seconds(afterMs)),
    confirmed: (by, afterMs) => confirmed.observe({ by }, seconds(afterMs)),
    overranTime: (policy, limit, byMs) => overran.observe({ policy, limit }, seconds(byMs)),
    overspent: (policy, limit, byCredits) => overspent.observe({ policy, limit }, Math.max(0, byCredits)),
    event: (kind) => events.inc({ kind }),
    apiRequest: (operation, result, tookMs) => {
      requests.inc({ operation, result });
      requestDuration.observe({ operation }, seconds(tookMs));
    },
    scan: (result, tookMs) => {
      scans.inc({ result });
      scanDuration.observe(seconds(tookMs));
    },
    notification: (route, result) => notifications.inc({ route, result }),
  };
  return { registry, meters: harmless(meters, log) };
}

/** Clocks of two machines may disagree by more than what was measured. */
const seconds = (ms: number): number => Math.max(0, ms) / 1_000;

/** A meter that fails says so once, and stops nothing. */
function harmless(meters: Meters, log: Pick<Logger, 'error'>): Meters {
  let said = false;
  const guarded = Object.entries(meters).map(([name, meter]: [string, (...args: unknown[]) => void]) => [
    name,
    (...args: unknown[]) => {
      try {
        meter(...args);
      } catch (error) {
        if (!said) log.error({ err: error, meter: name }, 'a metric could not be counted');
        said = true;
      }
    },
  ]);
  return Object.fromEntries(guarded) as Meters;
}
