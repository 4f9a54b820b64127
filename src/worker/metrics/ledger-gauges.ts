import { Gauge, Registry } from 'prom-client';
import type { PolicyMode } from '../../core/policy/policy.js';
import type { LedgerReading } from './ledger-reading.js';

/** A number with its labels; without one for the metric itself. */
type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** One gauge: what it is called, and how its values follow from a reading. No value: it is left out of the exposition. */
interface LedgerGauge {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly values: (reading: LedgerReading) => readonly Sample[];
}

const MODES: readonly PolicyMode[] = ['off', 'observe', 'enforce'];

const plain = (
  name: string,
  help: string,
  value: (reading: LedgerReading) => number | boolean | null,
): LedgerGauge => ({
  name,
  help,
  labelNames: [],
  values: (reading) => {
    const found = value(reading);
    return found === null ? [] : [[{}, Number(found)]];
  },
});

/** One value for each value of a label; null: none at all. */
const by = (
  label: string,
  name: string,
  help: string,
  values: (reading: LedgerReading) => Readonly<Record<string, number>> | null,
): LedgerGauge => ({
  name,
  help,
  labelNames: [label],
  values: (reading) => Object.entries(values(reading) ?? {}).map(([value, count]) => [{ [label]: value }, count]),
});

/** Ledger's and vendor's times are in ms, Prometheus counts in seconds. */
const seconds = (ms: number | null | undefined): number | null => (ms == null ? null : ms / 1_000);

/**
 * What the ledger knows. Every worker on it shows the same, so over several workers `max` is the right sum.
 *
 * Always read at the scrape and never kept: a ledger that is away leaves no old numbers behind.
 */
export const LEDGER_GAUGES: readonly LedgerGauge[] = [
  by('mode', 'curfew_policies_in_force', 'Policies in force, by mode. None at all: nothing is enforced.', (reading) => {
    const { policies } = reading;
    // In a form that this version does not know, which another worker may enforce.
    if (policies.kind === 'too-new') return null;
    const all = policies.kind === 'known' ? policies.inForce.file.policies : [];
    return Object.fromEntries(MODES.map((mode) => [mode, all.filter((policy) => policy.mode === mode).length]));
  }),
  plain(
    'curfew_policy_version',
    'Version of the policies in force; absent when there never were any.',
    ({ policies }) =>
      policies.kind === 'known' ? policies.inForce.version : policies.kind === 'too-new' ? policies.version : null,
  ),
  plain(
    'curfew_last_scan_timestamp_seconds',
    'When the last scan ended, complete or not, Unix time; absent when there was none.',
    ({ coverage }) => seconds(coverage?.atMs),
  ),
  plain(
    'curfew_last_complete_scan_timestamp_seconds',
    'When the last scan ended that could read everything, Unix time; absent when there was none.',
    ({ coverage }) => seconds(coverage?.completeAtMs),
  ),
  plain(
    'curfew_last_scan_duration_seconds',
    'How long the last scan took, complete or not; absent when there was none.',
    ({ coverage }) => seconds(coverage?.durationMs),
  ),
  plain('curfew_live_sessions', 'Sessions processing or queued at the last scan.', ({ coverage }) =>
    coverage === null ? null : coverage.live.processing + coverage.live.queued,
  ),
  by(
    'status',
    'curfew_agents',
    'Agents at the last scan: seen by the key; of those, unreadable; and named by a policy but not found.',
    ({ coverage }) =>
      coverage && {
        seen: coverage.agents,
        unreadable: coverage.unreadable.count,
        not_found: coverage.notFound.length,
      },
  ),
  by(
    'status',
    'curfew_teams',
    'Teams at the last scan: watched; unreadable; and named by a policy but not shown to the key.',
    ({ coverage }) =>
      coverage?.teams
        ? {
            watched: coverage.teams.watched.count,
            unreadable: coverage.teams.unreadable.count,
            not_shown: coverage.teams.notShown.length,
          }
        : null,
  ),
  plain('curfew_open_orders', 'Orders without an outcome.', ({ gauges }) => gauges.openOrders),
  plain('curfew_open_cases', 'Sessions with orders without an outcome.', ({ gauges }) => gauges.openCases),
  plain(
    'curfew_stuck_cases',
    'Open cases for which someone was alerted, because the turn does not end.',
    ({ gauges }) => gauges.stuckCases,
  ),
  plain(
    'curfew_sessions_not_judgeable',
    'Sessions that should be judged now and can not be: reads of them fail, or come too late.',
    ({ gauges }) => gauges.unjudgedSessions,
  ),
  plain(
    'curfew_oldest_open_order_timestamp_seconds',
    'When the oldest order without an outcome was given, Unix time; absent when none is open. Not of paused bulk jobs.',
    ({ gauges }) => seconds(gauges.oldestOpenOrderAtMs),
  ),
  plain(
    'curfew_requests_unanswered',
    'Cancel requests that are out and not answered yet.',
    ({ gauges }) => gauges.requestsUnanswered,
  ),
  plain('curfew_paused', '1 while the pause switch is on: no cancel request leaves.', ({ gauges }) => gauges.paused),
  plain(
    'curfew_account_refused',
    '1 while the vendor refuses the key or the account: nothing can be read or ended.',
    ({ accountRefused }) => accountRefused,
  ),
  plain(
    'curfew_requests_held',
    '1 while the vendor holds requests back by 429, for more than some seconds; one leaves now and then to ask again.',
    ({ requestsHeld }) => requestsHeld,
  ),
  by(
    'policy',
    'curfew_breaker_open',
    '1 while the circuit breaker of the policy is open: it went over its caps, and only observes.',
    ({ policies, openBreakers }) => {
      const names = policies.kind === 'known' ? policies.inForce.file.policies.map(({ name }) => name) : openBreakers;
      return Object.fromEntries([...names].map((policy) => [policy, Number(openBreakers.has(policy))]));
    },
  ),
  by(
    'state',
    'curfew_bulk_jobs',
    'Bulk jobs that are not over, by state; planned ones only while they can be applied.',
    ({ gauges }) => gauges.bulkJobs,
  ),
  plain(
    'curfew_bulk_targets_open',
    'Targets of running and paused bulk jobs without an outcome. Those handed over to cases are open orders instead.',
    ({ gauges }) => gauges.bulkTargetsOpen,
  ),
  by(
    'route',
    'curfew_notifications_pending',
    'Things that a notification route is still to be told; counted up to 1000.',
    ({ pending }) => Object.fromEntries(pending),
  ),
];

/** The exposition of one reading. */
export function expose(reading: LedgerReading): Promise<string> {
  const registry = new Registry();
  for (const { name, help, labelNames, values } of LEDGER_GAUGES) {
    const samples = values(reading);
    if (samples.length === 0) continue;
    const gauge = new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] });
    for (const [labels, value] of samples) gauge.set(labels, value);
  }
  return registry.metrics();
}
