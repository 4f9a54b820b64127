import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { DEPLOY, deployedDashboard, type Position } from './deployed.js';
import { groupedBy } from './promql.js';
import { servedMetrics, wrongIn } from './served-metrics.js';

/** Columns of Grafana's grid. */
const COLUMNS = 24;

const read = (path: string): string => readFileSync(join(DEPLOY, 'grafana', path), 'utf8');
const dashboard = deployedDashboard();
const { panels } = dashboard;
const graphs = panels.filter(({ type }) => type !== 'row');
const served = servedMetrics();

const overlap = (a: Position, b: Position): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

describe('the dashboard', () => {
  it('can be linked to: its uid stays', () => {
    expect(dashboard.uid).toBe('curfew');
  });

  it('answers the questions of the night in their order', () => {
    expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual([
      'Is it safe?',
      'Is it on time?',
      'What was ended?',
      'Vendor API',
      'Temporal and worker',
      'Bulk',
    ]);
  });

  it('has panels with ids of their own', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });

  it('lays no panel over another one, nor beyond the edge', () => {
    expect(panels.filter(({ gridPos: { x, w, h } }) => x < 0 || w <= 0 || h <= 0 || x + w > COLUMNS)).toEqual([]);
    const pairs = panels.flatMap((a, index) => panels.slice(index + 1).map((b) => [a, b] as const));
    expect(pairs.filter(([a, b]) => overlap(a.gridPos, b.gridPos)).map(([a, b]) => [a.title, b.title])).toEqual([]);
  });

  it('is fed by the datasource that is provisioned beside it', () => {
    const { datasources } = parse(read('provisioning/datasources/prometheus.yml')) as {
      datasources: { uid: string }[];
    };
    const [variable] = dashboard.templating.list;
    expect(datasources.map(({ uid }) => uid)).toContain(variable?.current.value);
    for (const { datasource } of graphs) expect(datasource?.uid).toBe(`\${${variable?.name}}`);
  });
});

describe.each(graphs.map((panel) => [panel.title, panel] as const))('the panel “%s”', (_title, panel) => {
  it('has a unit, and says what its reader needs to know', () => {
    expect(panel.fieldConfig?.defaults.unit).toMatch(/./);
    expect(panel.description).toMatch(/^[A-Z].{30,}\.$/);
    expect(panel.targets?.length).toBeGreaterThan(0);
  });

  it('asks for metrics and labels that exist, and names its lines by labels that are left', () => {
    for (const { expr, legendFormat } of panel.targets ?? []) {
      expect(wrongIn(expr, served, new Map())).toEqual([]);
      const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
      // What is not aggregated keeps all labels.
      const kept = /\b(sum|max|min|histogram_quantile)\b/.test(expr) ? groupedBy(expr) : ['instance'];
      expect(named.filter((label) => !kept.includes(label ?? ''))).toEqual([]);
    }
  });
});
