import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it, jest } from '@jest/globals';
import { LEDGER_GAUGES } from '../../src/worker/metrics/ledger-gauges.js';
import { createProcessMetrics } from '../../src/worker/metrics/registry.js';
import { UP_GAUGES } from '../../src/worker/metrics/up-gauges.js';

interface Row {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly from: 'process' | 'ledger';
}

const page = readFileSync(fileURLToPath(new URL('../../docs/metrics.md', import.meta.url)), 'utf8');
const described: Row[] = page
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .flatMap(([, name = '', type = '', labels = '', from = '']) =>
    /^`curfew_/.test(name)
      ? [{ name: name.replaceAll('`', ''), type, labels: names(labels), from: from as Row['from'] }]
      : [],
  );

function names(cell: string): string[] {
  return [...cell.matchAll(/`(\w+)`/g)].map(([, label = '']) => label).sort();
}

const { registry } = createProcessMetrics({ scanMs: 15_000, log: { error: jest.fn() }, ofProcess: false });
/** What prom-client keeps of a metric, beyond what its types say. */
type Kept = ReturnType<typeof registry.getMetricsAsArray>[number] & {
  readonly labelNames: readonly string[];
  get(): Promise<{ readonly type: string }>;
};
const counted = await Promise.all(
  (registry.getMetricsAsArray() as unknown as Kept[]).map(async (metric): Promise<Row> => ({
    name: metric.name,
    type: String((await metric.get()).type),
    labels: metric.labelNames.filter((label) => label !== 'le').sort(),
    from: 'process',
  })),
);
const served: Row[] = [
  ...counted,
  ...Object.values(UP_GAUGES).map(({ name }): Row => ({ name, type: 'gauge', labels: [], from: 'process' })),
  ...LEDGER_GAUGES.map(({ name, labelNames }): Row => ({
    ...{ name, type: 'gauge', from: 'ledger' },
    labels: [...labelNames].sort(),
  })),
];

const byName = (a: Row, b: Row): number => (a.name < b.name ? -1 : 1);

it('docs/metrics.md has every metric, with its type, its labels and where it comes from, and no other', () => {
  expect([...described].sort(byName)).toEqual([...served].sort(byName));
});

it('every metric begins with curfew_ and says what it is', () => {
  const helps = [
    ...registry.getMetricsAsArray().map(({ name, help }) => ({ name, help })),
    ...Object.values(UP_GAUGES),
    ...LEDGER_GAUGES,
  ];
  expect(helps.filter(({ name, help }) => !/^curfew_[a-z_]+$/.test(name) || !/\w.{10,}\.$/.test(help))).toEqual([]);
});
