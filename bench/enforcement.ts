import { openSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { enterCurfew } from './curfew.js';
import { ratio, type Goal } from './figures.js';
import { LIMITS, POLICY_FILE, type FleetShape } from './fleet.js';
import type { PollerInput } from './naive-poller.js';
import { script, start, stopAll, stopAllOnSignal } from './processes.js';
import { temporalFigures, type TemporalFigures } from './temporal-actions.js';
import { watchRun, type Contestant, type FleetAddress, type RunFigures, type Timeline } from './watched-run.js';

const USAGE = `Usage: npx tsx bench/enforcement.ts [options]      (after \`npm run build\`)
  --sessions N             live sessions                                          (1000)
  --agents N               agents that they are spread over                       (100)
  --minutes N              length of the run after the warm-up                    (4)
  --due-per-second N       turns that reach their deadline, for a minute at most  (10)
  --requests-per-second N  CURFEW_REQUESTS_PER_SECOND                             (50, its default)
  --warm-up SECONDS        time to get to know the fleet                          (by sessions and rate)
  --naive                  the naive poller afterwards, on a new fleet of the same shape
  --naive-rate N|none      most requests per second of the naive poller           (as Curfew)
  --profile FOLDER         writes a CPU profile of Curfew's worker there`;

interface Options {
  readonly shape: FleetShape;
  readonly timeline: Timeline;
  readonly duePerSecond: number;
  readonly requestsPerSecond: number;
  readonly naive: boolean;
  readonly naiveRate: number | null;
  readonly profile: string | null;
}

class UsageError extends Error {}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sessions: { type: 'string', default: '1000' },
      agents: { type: 'string', default: '100' },
      minutes: { type: 'string', default: '4' },
      'due-per-second': { type: 'string', default: '10' },
      'requests-per-second': { type: 'string', default: '50' },
      'warm-up': { type: 'string' },
      naive: { type: 'boolean', default: false },
      'naive-rate': { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const number = (name: string, text: string, least: number, most: number): number => {
    const value = Number(text);
    if (Number.isFinite(value) && value >= least && value <= most) return value;
    throw new UsageError(`--${name} is "${text}"; it must be a number from ${least} to ${most}.`);
  };
  const sessions = Math.round(number('sessions', values.sessions, 20, 100_000));
  const agents = Math.round(number('agents', values.agents, 1, sessions));
  // Well-behaved turns are up to 10 minutes old at the start, and must stay below the limit of an hour.
  const runMs = number('minutes', values.minutes, 0.2, 30) * 60_000;
  const duePerSecond = number('due-per-second', values['due-per-second'], 0.1, 1_000);
  const requestsPerSecond = Math.round(number('requests-per-second', values['requests-per-second'], 1, 100_000));

  const warmUpMs =
    values['warm-up'] === undefined
      ? usualWarmUpMs(sessions, agents, requestsPerSecond)
      : number('warm-up', values['warm-up'], 1, 900) * 1_000;
  const drainMs = Math.min(90_000, runMs / 3);
  const byTime = (Math.min(60_000, runMs / 3) / 1_000) * duePerSecond;
  const runtime = Math.max(1, Math.floor(Math.min(byTime, 0.3 * sessions)));
  const violationsMs = (runtime / duePerSecond) * 1_000;
  const steadyMs = runMs - violationsMs - drainMs;
  const fromMs = warmUpMs + steadyMs;
  const rate = values['naive-rate'];
  return {
    shape: {
      sessions,
      agents,
      violators: { runtime, credits: Math.max(1, Math.round(0.01 * sessions)), fromMs, toMs: fromMs + violationsMs },
    },
    timeline: { warmUpMs, steadyMs, violationsMs, drainMs },
    duePerSecond,
    requestsPerSecond,
    naive: values.naive,
    naiveRate:
      rate === undefined
        ? requestsPerSecond
        : rate === 'none'
          ? null
          : Math.round(number('naive-rate', rate, 1, 100_000)),
    profile: values.profile ?? null,
  };
}

/** Start of the processes, two lists per agent, a retrieve for each session that may be old, and half as much again. */
const usualWarmUpMs = (sessions: number, agents: number, perSecond: number): number =>
  Math.round(30_000 + (1.5 * 1_000 * (2 * agents + sessions)) / perSecond);

async function enterNaive(fleet: FleetAddress, { naiveRate }: Options, folder: string): Promise<Contestant> {
  const input: PollerInput = {
    url: fleet.url,
    apiKey: fleet.apiKey,
    userId: fleet.userId,
    requestsPerSecond: naiveRate,
    everyMs: 15_000,
    limits: LIMITS,
  };
  const log = openSync(join(folder, 'naive.log'), 'w');
  const poller = await start(script('naive-poller.ts', JSON.stringify(input)), { stderr: log });
  return { pid: poller.pid, serverPid: null, stop: () => poller.stop(), stored: () => 0 };
}

/** Limits that the design names, beside what was measured. */
function goalsOf(curfew: RunFigures, temporal: TemporalFigures | null, { shape }: Options): Record<string, Goal> {
  const goal = (text: string, measured: number | null, most: number, applies = true): Goal => ({
    goal: text,
    measured,
    met: measured === null || !applies ? null : measured <= most,
  });
  const perAgent = shape.sessions / shape.agents;
  const { steady } = curfew.windows;
  const peakMb = curfew.rssPeakBytes === null ? null : Math.round(curfew.rssPeakBytes / 1e6);
  return {
    lagP99Ms: goal('deadline to cancel request, p99 under 2 s', curfew.lagMs.runtime?.p99 ?? null, 1_999),
    violatorsNotAsked: goal('every violator gets a cancel request', curfew.violators.total - curfew.violators.asked, 0),
    innocentsTouched: goal('no other turn is touched', curfew.innocentsTouched + curfew.violators.early, 0),
    requestsPerSessionHour: goal(
      'list and retrieve under 10 per live session-hour, at 100 sessions an agent',
      steady.requestsPerSessionHour.listAndRetrieve,
      9.99,
      perAgent >= 100,
    ),
    casesOnInnocents: goal('no workflow for a well-behaved session', temporal?.casesOnInnocents ?? null, 0),
    rssPeakMb: goal('memory of the worker under 700 MB', peakMb, 699),
  };
}

/** How many times as much the naive poller has: above 1 it is worse. */
const ratiosOf = (curfew: RunFigures, naive: RunFigures) => ({
  lagP50: ratio(curfew.lagMs.runtime?.p50, naive.lagMs.runtime?.p50),
  lagP99: ratio(curfew.lagMs.runtime?.p99, naive.lagMs.runtime?.p99),
  requestsPerSessionHour: ratio(
    curfew.windows.steady.requestsPerSessionHour.listAndRetrieve,
    naive.windows.steady.requestsPerSessionHour.listAndRetrieve,
  ),
  cpuSteady: ratio(curfew.windows.steady.cpuSecondsPerMinute, naive.windows.steady.cpuSecondsPerMinute),
  rssPeak: ratio(curfew.rssPeakBytes, naive.rssPeakBytes),
});

async function main(options: Options): Promise<void> {
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const folder = await mkdtemp(join(tmpdir(), 'curfew-bench-'));
  const loadBefore = loadavg();
  let temporal: TemporalFigures | null = null;
  let naive: RunFigures | null = null;
  let curfew: RunFigures;
  try {
    const phases = Object.entries(options.timeline).map(
      ([name, ms]) => `${name.slice(0, -2)} ${Math.round(ms / 1_000)} s`,
    );
    say(`${options.shape.sessions} sessions, ${options.shape.agents} agents; ${phases.join(', ')}`);
    curfew = await watchRun(
      options.shape,
      options.timeline,
      (fleet) => enterCurfew(fleet, POLICY_FILE, folder, options),
      (text) => say(`curfew  ${text}`),
      async ({ temporalAddress }, { steady, liveSessions }, violations) => {
        temporal = await temporalFigures(temporalAddress, { ...steady, liveSessions }, violations);
      },
    );
    if (options.naive) {
      naive = await watchRun(
        options.shape,
        options.timeline,
        (fleet) => enterNaive(fleet, options, folder),
        (text) => say(`naive   ${text}`),
      );
    }
  } catch (error) {
    for (const name of await readdir(folder)) if (name.endsWith('.log')) say(`See ${join(folder, name)}`);
    throw error;
  } finally {
    await stopAll();
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  const { shape, timeline, duePerSecond, requestsPerSecond, naiveRate } = options;
  const document = {
    bench: 'enforcement',
    at: new Date().toISOString(),
    machine: {
      node: process.version,
      platform: process.platform,
      cpus: cpus().length,
      cpu: cpus()[0]?.model ?? null,
      loadAverage: { before: loadBefore, after: loadavg() },
    },
    settings: { ...shape, timeline, duePerSecond, requestsPerSecond },
    goals: goalsOf(curfew, temporal, options),
    curfew: { ...curfew, temporal },
    naive: naive === null ? null : { requestsPerSecond: naiveRate, ...naive },
    naiveTimesCurfew: naive === null ? null : ratiosOf(curfew, naive),
  };
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

stopAllOnSignal();
try {
  await main(readOptions(process.argv.slice(2)));
} catch (error) {
  if (error instanceof UsageError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS')) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}\n`);
    process.exitCode = 2;
  } else throw error;
}
