import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import ms, { type StringValue } from 'ms';
import { parse } from 'yaml';
import { deployedRules, PROMETHEUS, RULE_TESTS, type Rule } from './deployed.js';
import { groupedBy } from './promql.js';
import { servedMetrics, wrongIn } from './served-metrics.js';

interface RuleTest {
  readonly name: string;
  readonly input_series?: readonly { readonly series: string }[];
  readonly promql_expr_test: readonly {
    readonly expr: string;
    readonly exp_samples: readonly { readonly labels: string; readonly value: number }[];
  }[];
}

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
const runbookPages = readdirSync(docs).filter((name) => name.startsWith('runbook-'));
const runbook = new Map(runbookPages.map((name) => [name, readFileSync(join(docs, name), 'utf8')]));
const runbookIndex = readFileSync(join(docs, 'runbook.md'), 'utf8');

const read = (path: string): unknown => parse(readFileSync(path, 'utf8'));
const rules = deployedRules();
const alerts = rules.filter((rule): rule is Rule & { alert: string } => rule.alert !== undefined);
const tests = RULE_TESTS.flatMap((path) => (read(path) as { tests: readonly RuleTest[] }).tests);

const served = servedMetrics();
const recorded = new Map(
  rules.flatMap(({ record, expr }) => (record === undefined ? [] : [[record, groupedBy(expr)]])),
);

/** What the tests say of an alert: the series of those where it is silent, the labels of those where it fires. */
function shownOf(alert: string): { readonly silent: RuleTest[]; readonly firing: string[] } {
  const asked = `ALERTS{alertname="${alert}",alertstate="firing"}`;
  const about = tests.flatMap((test) =>
    test.promql_expr_test.filter(({ expr }) => expr === asked).map((check) => ({ test, samples: check.exp_samples })),
  );
  const fires = new Set(about.filter(({ samples }) => samples.length > 0).map(({ test }) => test));
  return {
    // One that fires later in the same test was only asked too early.
    silent: about.map(({ test }) => test).filter((test) => !fires.has(test)),
    firing: about.flatMap(({ samples }) => samples.map(({ labels }) => labels)),
  };
}

/** The alerts that a page of the runbook has sections for. */
const alertsOf = (text: string): string[] => [...text.matchAll(/^## (Curfew\w+)$/gm)].map(([, name = '']) => name);
const pageOf = (alert: string): string => [...runbook].find(([, text]) => alertsOf(text).includes(alert))?.[0] ?? '';
/** A section of the runbook, without its title. */
const sectionOf = (alert: string): string =>
  runbook
    .get(pageOf(alert))
    ?.split(`\n## ${alert}\n`)[1]
    ?.split(/\n##+ /)[0] ?? '';

describe('Prometheus', () => {
  it('has many samples in every range: whether the first counts, which it does not since Prometheus 3, makes no difference', () => {
    const { global } = read(join(PROMETHEUS, 'prometheus.yml')) as { global: { scrape_interval: StringValue } };
    const ranges = rules.flatMap(({ expr }) => [...expr.matchAll(/\[(\w+)(?::\w*)?\]/g)].map(([, range]) => range));
    expect(ranges.length).toBeGreaterThan(10);
    const short = ranges.filter((range) => ms(range as StringValue) < 8 * ms(global.scrape_interval));
    expect(short).toEqual([]);
  });

  it('scrapes the workers under the name that all rules select', () => {
    const { scrape_configs: jobs } = read(join(PROMETHEUS, 'prometheus.yml')) as {
      scrape_configs: { job_name: string }[];
    };
    expect(jobs.map(({ job_name }) => job_name)).toContain('curfew');
    for (const { expr } of rules) {
      const ofMetrics = [...expr.matchAll(/\b((?:curfew|temporal|process|nodejs)_\w+)(\{[^}]*\})?/g)];
      expect(ofMetrics.filter(([, , matchers = '']) => !matchers.includes('job="curfew"'))).toEqual([]);
    }
  });
});

describe.each(alerts.map((rule) => [rule.alert, rule] as const))('%s', (alert, rule) => {
  const isWatchdog = alert === 'CurfewWatchdog';

  it('says for how long, how urgent it is, and what happens to people’s sessions', () => {
    expect(alert).toMatch(/^Curfew[A-Z]/);
    expect(rule.for).toMatch(/^\d+[mhd]$/);
    expect(isWatchdog ? ['none'] : ['page', 'ticket']).toContain(rule.labels?.['severity']);
    expect(rule.annotations?.['summary']).toMatch(/\.$/);
    expect(rule.annotations?.['description']).toMatch(/\.$/);
  });

  it('has a section in the runbook, with all that a tired reader needs', () => {
    expect(rule.annotations?.['runbook_url']).toBe(`docs/${pageOf(alert)}#${alert.toLowerCase()}`);
    const points = [...sectionOf(alert).matchAll(/^- \*\*(.+?):\*\*/gm)].map(([, name]) => name);
    expect(points).toEqual([
      'For sessions',
      'Not at risk',
      'Look first',
      isWatchdog ? 'Fixes' : 'Causes and fixes',
      'Escalate',
      'Resolves',
    ]);
  });

  it('is in the index of the runbook, with its severity and a link to its section', () => {
    const rows = runbookIndex.split('\n').filter((line) => line.includes(`[${alert}]`));
    expect(rows.map((row) => row.split('|').map((cell) => cell.trim()))).toEqual([
      ['', `[${alert}](${pageOf(alert)}#${alert.toLowerCase()})`, rule.labels?.['severity'], expect.any(String), ''],
    ]);
  });

  it('is shown to fire, with its severity and the labels that its words are about', () => {
    const { firing } = shownOf(alert);
    expect(firing.length).toBeGreaterThan(0);
    const used = [
      ...Object.values(rule.annotations ?? {})
        .join()
        .matchAll(/\$labels\.(\w+)/g),
    ].map(([, name]) => name);
    for (const labels of firing) expect(labels).toContain(`severity="${rule.labels?.['severity']}"`);
    for (const name of used) expect(firing.some((labels) => labels.includes(`${name}="`))).toBe(true);
  });

  it('is shown to stay silent in a case that is near', () => {
    const { silent } = shownOf(alert);
    // It has nothing to be silent about: it is to be missed when it is silent.
    expect(isWatchdog || silent.some(({ input_series: series = [] }) => series.length > 0)).toBe(true);
  });
});

describe('the metrics and labels', () => {
  it.each(rules.map(({ alert, record, expr }) => [alert ?? record ?? '', expr]))('of %s exist', (_name, expr) => {
    expect(wrongIn(expr, served, recorded)).toEqual([]);
  });

  it.each(tests.map((test) => [test.name, test] as const))('in “%s” exist', (_name, test) => {
    const series = (test.input_series ?? []).map((input) => input.series);
    expect(series.flatMap((one) => wrongIn(one, served, recorded))).toEqual([]);
  });

  it('that the runbook asks for exist', () => {
    const named = [...runbook.values()].flatMap((text) =>
      [...text.matchAll(/\b(curfew_[a-z_]+|process_[a-z_]+|nodejs_[a-z_0-9]+)\b/g)].map(([name]) => name),
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !served.has(name))).toEqual([]);
  });

  it('would be found wrong if they were', () => {
    expect(wrongIn('max(curfew_nonsense{job="curfew"})', served, recorded)).toEqual(['curfew_nonsense does not exist']);
    expect(wrongIn('sum by (mood) (curfew_paused{color="red"})', served, recorded)).toEqual([
      'curfew_paused has no label color',
      'mood',
    ]);
  });
});

it('the runbook has no section about an alert that does not exist', () => {
  const sections = [...runbook.values()].flatMap(alertsOf);
  expect(sections.sort()).toEqual(alerts.map(({ alert }) => alert).sort());
});
