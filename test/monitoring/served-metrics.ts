import { LEDGER_GAUGES } from '../../src/worker/metrics/ledger-gauges.js';
import { createProcessMetrics } from '../../src/worker/metrics/registry.js';
import { UP_GAUGES } from '../../src/worker/metrics/up-gauges.js';
import { groupedBy, selectedBy } from './promql.js';

/** What Prometheus adds to every series. */
const OF_THE_TARGET = ['job', 'instance'];

interface Metric {
  readonly name: string;
  readonly type?: string;
  readonly labelNames?: readonly string[];
}

/** Labels of each metric that a worker of this version shows, by the names under which Prometheus keeps them. */
export function servedMetrics(): ReadonlyMap<string, readonly string[]> {
  const { registry } = createProcessMetrics({ scanMs: 15_000, log: { error: () => {} }, ofProcess: true });
  const metrics: Metric[] = [
    ...(registry.getMetricsAsArray() as unknown as Metric[]),
    ...LEDGER_GAUGES,
    ...Object.values(UP_GAUGES),
  ];
  const served = new Map<string, readonly string[]>([['up', OF_THE_TARGET]]);
  for (const { name, labelNames = [] } of metrics) {
    const labels = [...labelNames, ...OF_THE_TARGET];
    served.set(name, labels);
    if (registry.getSingleMetric(name) === undefined) continue;
    // Only histograms have these; for others nothing asks for them.
    served.set(`${name}_bucket`, [...labels, 'le']);
  }
  return served;
}

/**
 * What is wrong with the metrics and labels in an expression; nothing: []. Metrics of Temporal's SDK are its own, and not
 * looked at here.
 *
 * @param recorded - labels of each recording rule
 */
export function wrongIn(
  expr: string,
  served: ReadonlyMap<string, readonly string[]>,
  recorded: ReadonlyMap<string, readonly string[]>,
): string[] {
  const selected = selectedBy(expr, 'curfew_', 'curfew:', 'process_', 'nodejs_', 'up');
  const problems = selected.flatMap(({ metric, labels }) => {
    const known = served.get(metric) ?? recorded.get(metric);
    if (known === undefined) return [`${metric} does not exist`];
    return labels.filter((label) => !known.includes(label)).map((label) => `${metric} has no label ${label}`);
  });
  if (selectedBy(expr, 'temporal_').length > 0) return problems;
  const known = selected.flatMap(({ metric }) => served.get(metric) ?? recorded.get(metric) ?? []);
  return [...problems, ...groupedBy(expr).filter((label) => !known.includes(label))];
}
