import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { deployedDashboard, deployedRules, PROMETHEUS, RULE_TESTS, RULES } from '../monitoring/deployed.js';
import { promtool } from './promtool.js';

describe('Prometheus', () => {
  it('takes the configuration and the rules that it names', () => {
    const { content, says } = promtool('check', 'config', join(PROMETHEUS, 'prometheus.yml'));
    expect(says).toContain('1 rule files found');
    expect({ content, says }).toEqual({ content: true, says });
  });

  it('takes the rules, and finds none of them twice', () => {
    const { content, says } = promtool('check', 'rules', RULES);
    expect(says).toContain(`SUCCESS: ${deployedRules().length} rules found`);
    expect(says).not.toContain('duplicate');
    expect(content).toBe(true);
  });

  it.each(RULE_TESTS)('agrees with %s', (path) => {
    const { content, says } = promtool('test', 'rules', path);
    expect({ content, says }).toEqual({ content: true, says });
  });

  it('understands what the dashboard asks', () => {
    const queries = deployedDashboard().panels.flatMap(({ targets = [] }) => targets);
    const rules = queries.map(({ expr }, index) => ({
      record: `panel:query${index}`,
      expr: expr.replaceAll('$__rate_interval', '1m'),
    }));
    const folder = mkdtempSync(join(tmpdir(), 'curfew-dashboard-'));
    try {
      const path = join(folder, 'queries.yml');
      writeFileSync(path, stringify({ groups: [{ name: 'dashboard', rules }] }));
      const { content, says } = promtool('check', 'rules', path);
      expect({ content, says }).toEqual({ content: true, says });
      expect(says).toContain(`SUCCESS: ${queries.length} rules found`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
