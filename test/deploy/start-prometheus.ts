import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { DEPLOY } from '../monitoring/deployed.js';
import { steadyPort } from '../../src/platform/free-port.js';

interface RuleHealth {
  readonly name: string;
  /** `ok`, `err` or `unknown`: not evaluated yet. */
  readonly health: string;
  readonly lastError?: string;
}

/** A real Prometheus with the rules of the deployment. */
export interface Prometheus {
  /** Values of an instant query; none: []. */
  query(expr: string): Promise<number[]>;
  rules(): Promise<RuleHealth[]>;
  /** What went wrong with the last scrape of each target. */
  scrapeErrors(): Promise<string[]>;
  stop(): Promise<void>;
}

/**
 * @param folder - for its configuration and data
 * @param worker - `host:port` of the worker that stands for those of the deployment
 */
export async function startPrometheus(folder: string, worker: string): Promise<Prometheus> {
  const deployed = parse(readFileSync(join(DEPLOY, 'prometheus', 'prometheus.yml'), 'utf8')) as {
    global: object;
    rule_files: string[];
    scrape_configs: { job_name: string }[];
  };
  const config = join(folder, 'prometheus.yml');
  writeFileSync(
    config,
    stringify({
      global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '1s' },
      rule_files: deployed.rule_files.map((path) => join(DEPLOY, 'prometheus', path)),
      scrape_configs: deployed.scrape_configs
        .filter(({ job_name }) => job_name === 'curfew')
        .map((job) => ({ ...job, static_configs: [{ targets: [worker] }] })),
    }),
  );
  const address = `127.0.0.1:${await steadyPort()}`;
  const child = spawn(
    'prometheus',
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  await once(child, 'spawn');
  let over = false;
  const closed = once(child, 'close').finally(() => (over = true));

  const ask = async <T>(path: string): Promise<T> => {
    const answer = await fetch(`http://${address}/api/v1/${path}`);
    if (!answer.ok) throw new Error(`Prometheus answered ${answer.status}: ${await answer.text()}`);
    return ((await answer.json()) as { data: T }).data;
  };
  while (
    !(await fetch(`http://${address}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (over) throw new Error(`Prometheus ended at its start:\n${said}`);
    await sleep(100);
  }
  return {
    async query(expr) {
      const { result } = await ask<{ result: { value: [number, string] }[] }>(
        `query?query=${encodeURIComponent(expr)}`,
      );
      return result.map(({ value }) => Number(value[1]));
    },
    async rules() {
      const { groups } = await ask<{ groups: { rules: RuleHealth[] }[] }>('rules');
      return groups.flatMap(({ rules }) => rules);
    },
    async scrapeErrors() {
      const { activeTargets } = await ask<{ activeTargets: { lastError: string }[] }>('targets?state=active');
      return activeTargets.map(({ lastError }) => lastError);
    },
    async stop() {
      child.kill('SIGTERM');
      await closed;
    },
  };
}
