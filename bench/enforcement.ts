import { execFile } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { enterCurfew, HERE, mainIn } from './curfew.js';
import { goalsOf, ratiosOf, type Setting } from './enforcement-goals.js';
import { LIMITS, POLICY_FILE, sessionsIn } from './fleet.js';
import { ledgerFigures, type LedgerFigures } from './ledger-steps.js';
import type { PollerInput } from './naive-poller.js';
import { script, start, stopAll, stopAllOnSignal } from './processes.js';
import { temporalFigures, type TemporalFigures } from './temporal-actions.js';
import { watchRun, type Contestant, type FleetAddress, type RunFigures, type Timeline } from './watched-run.js';

const USAGE = `Usage: npx tsx bench/enforcement.ts [options]      (after \`npm run build\`)
  --sessions N             live sessions                                          (1000)
  --agents N               agents that they are spread over                       (100)
  --minutes N              length of the run after the warm-up                    (4)
  --due-per-second N       turns that reach their deadline, for a minute at most  (10)
  --burst N                N sessions more, whose turns reach their deadlines in
                           the same second, after those above                     (none)
  --requests-per-second N  CURFEW_REQUESTS_PER_SECOND                             (50, its default)
  --warm-up SECONDS        time to get to know the fleet                          (by sessions and rate)
  --against DIR            the same with another checkout that was built, afterwards, on a new fleet of the
                           same shape; may be given several times
  --naive                  the naive poller afterwards, on a new fleet of the same shape
  --naive-rate N|none      most requests per second of the naive poller           (as Curfew)
  --profile FOLDER         writes a CPU profile of Curfew's worker there`;

interface Options extends Setting {
  readonly timeline: Timeline;
  /** Checkouts, as absolute paths. */
  readonly against: readonly string[];
  readonly naive: boolean;
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
      burst: { type: 'string' },
      'requests-per-second': { type: 'string', default: '50' },
      'warm-up': { type: 'string' },
      against: { type: 'string', multiple: true, default: [] },
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
  const turns = values.burst === undefined ? 0 : Math.round(number('burst', values.burst, 1, 10_000));
  const agents = Math.round(number('agents', values.agents, 1, sessions));
  // Well-behaved turns are up to 10 minutes old at the start, and must stay below the limit of an hour.
  const runMs = number('minutes', values.minutes, 0.2, 30) * 60_000;
  const duePerSecond = number('due-per-second', values['due-per-second'], 0.1, 1_000);
  const requestsPerSecond = Math.round(number('requests-per-second', values['requests-per-second'], 1, 100_000));

  const warmUpMs =
    values['warm-up'] === undefined
      ? usualWarmUpMs(sessions + turns, agents, requestsPerSecond)
      : number('warm-up', values['warm-up'], 1, 900) * 1_000;
  const drainMs = Math.min(90_000, runMs / 3);
  const byTime = (Math.min(60_000, runMs / 3) / 1_000) * duePerSecond;
  const runtime = Math.max(1, Math.floor(Math.min(byTime, 0.3 * sessions)));
  const violationsMs = (runtime / duePerSecond) * 1_000;
  const steadyMs = runMs - violationsMs - drainMs;
  const fromMs = warmUpMs + steadyMs;
  const toMs = fromMs + violationsMs;
  const credits = Math.max(1, Math.round(0.01 * sessions));
  const [settleMs, burstMs] = [Math.min(SETTLE_MS, runMs / 4), Math.min(BURST_MS, runMs / 4)];
  const burst = turns === 0 ? {} : { burst: { sessions: turns, fromMs: toMs + settleMs + BEFORE_BURST_MS } };
  const rate = values['naive-rate'];
  return {
    shape: { sessions, agents, violators: { runtime, credits, fromMs, toMs }, ...burst },
    timeline: { warmUpMs, steadyMs, violationsMs, ...(turns === 0 ? {} : { settleMs, burstMs }), drainMs },
    duePerSecond,
    requestsPerSecond,
    against: values.against.map(builtCheckout),
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

/** Between the last violation and a burst, so that cases and confirmations of the one don't delay the other, ms. */
const SETTLE_MS = 30_000;
/** How long a burst is watched on its own, ms. */
const BURST_MS = 30_000;
/** From the beginning of that to the first deadline, ms. */
const BEFORE_BURST_MS = 1_000;

/** @throws {UsageError} when nothing is built there */
function builtCheckout(given: string): string {
  const checkout = resolve(given);
  if (existsSync(mainIn(checkout))) return checkout;
  throw new UsageError(`--against is "${given}"; there is no build: run \`npm run build\` in that checkout first.`);
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

/** What a build of Curfew did with a fleet. */
interface Played {
  readonly build: Build;
  readonly figures: RunFigures;
  readonly temporal: TemporalFigures | null;
  readonly ledger: LedgerFigures | null;
}

interface Build {
  /** Name of the checkout's folder. */
  readonly folder: string;
  /** Commit that is checked out there; null: git can't tell. The build may be another. */
  readonly commit: string | null;
}

async function buildIn(checkout: string): Promise<Build> {
  const commit = await promisify(execFile)('git', ['-C', checkout, 'describe', '--always', '--dirty']).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
  return { folder: basename(checkout), commit };
}

/** @param folder - where it may keep its home and log */
async function playCurfew(checkout: string, options: Options, folder: string): Promise<Played> {
  const { shape, timeline, requestsPerSecond, profile } = options;
  const main = mainIn(checkout);
  let temporal: TemporalFigures | null = null;
  let ledger: LedgerFigures | null = null;
  const figures = await watchRun(
    shape,
    timeline,
    (fleet) => enterCurfew(fleet, POLICY_FILE, folder, { main, requestsPerSecond, profile }),
    (text) => say(`${basename(folder)}  ${text}`),
    async (contestant, run, violations) => {
      const { steady, liveSessions } = run;
      const windows = { steady, violations: run.violations, liveSessions };
      temporal = await temporalFigures(contestant.temporalAddress, windows, violations);
      ledger = await ledgerFigures(contestant.ledger, violations);
    },
  );
  return { build: await buildIn(checkout), figures, temporal, ledger };
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function main(options: Options): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'curfew-bench-'));
  const folderOf = async (contestant: string): Promise<string> => {
    const own = join(folder, contestant);
    await mkdir(own);
    return own;
  };
  const { shape, timeline, duePerSecond, requestsPerSecond, naiveRate } = options;
  const loadBefore = loadavg();
  const against: Played[] = [];
  let naive: RunFigures | null = null;
  let curfew: Played;
  try {
    const phases = Object.entries(timeline).map(([name, ms]) => `${name.slice(0, -2)} ${Math.round(ms / 1_000)} s`);
    say(`${sessionsIn(shape)} sessions, ${shape.agents} agents; ${phases.join(', ')}`);
    curfew = await playCurfew(HERE, options, await folderOf('curfew'));
    for (const [index, checkout] of options.against.entries()) {
      against.push(await playCurfew(checkout, { ...options, profile: null }, await folderOf(`against-${index + 1}`)));
    }
    if (options.naive) {
      const own = await folderOf('naive');
      naive = await watchRun(
        shape,
        timeline,
        (fleet) => enterNaive(fleet, options, own),
        (text) => say(`naive  ${text}`),
      );
    }
  } catch (error) {
    for (const name of await readdir(folder, { recursive: true })) {
      if (name.endsWith('.log')) say(`See ${join(folder, name)}`);
    }
    throw error;
  } finally {
    await stopAll();
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
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
    goals: goalsOf(curfew.figures, curfew.temporal, naive, options),
    curfew: shown(curfew),
    against: against.map(shown),
    againstTimesCurfew: against.map(({ figures }) => ratiosOf(curfew.figures, figures)),
    naive: naive === null ? null : { requestsPerSecond: naiveRate, ...naive },
    naiveTimesCurfew: naive === null ? null : ratiosOf(curfew.figures, naive),
  };
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

const shown = ({ build, figures, temporal, ledger }: Played) => ({ build, ...figures, temporal, ledger });

stopAllOnSignal();
try {
  await main(readOptions(process.argv.slice(2)));
} catch (error) {
  if (error instanceof UsageError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS')) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}\n`);
    process.exitCode = 2;
  } else throw error;
}
