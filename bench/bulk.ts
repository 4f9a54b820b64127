import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { got } from 'got';
import { BULK_CONCURRENCY, bulkWorkflowId, type BulkStatus } from '../src/core/contract.js';
import { cacheDir, homePaths } from '../src/platform/home.js';
import { openLedger } from '../src/adapters/ledger/ledger.js';
import { obtainTemporalCli } from '../src/adapters/temporal/binary.js';
import { connectClient, resolveTemporal } from '../src/adapters/temporal/connection.js';
import type { BareLoopResult } from './bare-loop.js';
import type { BulkVendorCounts, BulkVendorReady } from './bulk-vendor.js';
import { medianOf, ratio, round } from './figures.js';
import { script, start, stopAll, useOf } from './processes.js';

const MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
const run = promisify(execFile);

const USAGE = `Usage: npx tsx bench/bulk.ts [options]      (after \`npm run build\`)
  --sessions N     targets of each contest                                    (20000)
  --agents N       agents that they are spread over                           (100)
  --rounds N       contests of each kind, loop and Curfew in turn             (1)
  --profile FOLDER writes CPU profiles of Curfew's workers there
  --million MIN    instead: plan --sessions targets, apply for so many minutes, look at what grows`;

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '20000' },
    agents: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '1' },
    million: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

interface CurfewFigures {
  readonly planSeconds: number;
  /** From the first cancel request to the last, as the vendor saw them. */
  readonly sendingPerSecond: number;
  /** From \`bulk apply\` to the last confirmed outcome. */
  readonly wholePerSecond: number;
  /** Parts of the whole, s: until the first cancel request, from that one to the last, and from there to the end of the job. */
  readonly parts: { readonly before: number; readonly sending: number; readonly after: number };
  readonly requests: BulkVendorCounts['requests'];
  readonly endedAtVendor: number;
  readonly askedAgain: number;
  readonly outcomes: BulkStatus['progress']['outcomes'];
  readonly workerCpuMicrosPerTarget: number | null;
  readonly workerPeakMb: number | null;
}

const vendor = (sessions: number) =>
  start<BulkVendorReady>(script('bulk-vendor.ts', '--agents', values.agents, '--sessions', String(sessions)));

const countsOf = (ready: BulkVendorReady): Promise<BulkVendorCounts> =>
  got(`${ready.controlUrl}/counts`).json<BulkVendorCounts>();

async function loop(mode: BareLoopResult['mode'], sessions: number): Promise<BareLoopResult> {
  const fleet = await vendor(sessions);
  try {
    const options = ['--url', fleet.announced.url, '--mode', mode, '--sessions', String(sessions)];
    const args = script('bare-loop.ts', ...options, '--concurrency', String(BULK_CONCURRENCY));
    const { stdout } = await run(process.execPath, args);
    return JSON.parse(stdout) as BareLoopResult;
  } finally {
    await fleet.stop();
  }
}

/** A worker with everything that belongs to it, in a home of its own. */
async function curfewFor(ready: BulkVendorReady) {
  const folder = await mkdtemp(join(tmpdir(), 'curfew-bench-'));
  const home = join(folder, 'home');
  const { path: binary } = await obtainTemporalCli({ env: process.env, cacheDir: cacheDir(process.env) });
  const env = {
    PATH: process.env['PATH'],
    HOME: folder,
    CURFEW_HOME: home,
    TEMPORAL_CLI_PATH: binary,
    GUMLOOP_BASE_URL: ready.url,
    GUMLOOP_API_KEY: 'bench',
    GUMLOOP_USER_ID: 'bench',
    CURFEW_REQUESTS_PER_SECOND: '100000',
    CURFEW_LOG: 'warn',
  };
  const { profile } = values;
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(profile)}`];
  const up = await start<unknown>([...profiling, MAIN, 'up', '--json'], { env, cwd: folder });
  const curfew = async (...args: string[]): Promise<BulkStatus> => {
    const { stdout } = await run(process.execPath, [MAIN, ...args, '--json'], { env, cwd: folder, maxBuffer: 2 ** 28 });
    return JSON.parse(stdout) as BulkStatus;
  };
  const ledger = await openLedger(homePaths(home).ledger);
  return {
    up,
    curfew,
    ledger,
    env,
    home,
    stop: async () => {
      await ledger.close();
      await up.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function contest(fast: boolean, sessions: number): Promise<CurfewFigures> {
  const fleet = await vendor(sessions);
  const party = await curfewFor(fleet.announced);
  try {
    const plannedAt = performance.now();
    const plan = await party.curfew('bulk', 'plan', '--all');
    const planSeconds = (performance.now() - plannedAt) / 1_000;
    const before = useOf(party.up.pid);

    const applied = party.curfew(
      'bulk',
      'apply',
      plan.planId,
      '--yes',
      '--rate',
      '10000/s',
      '--canary',
      '0',
      ...(fast ? ['--fast'] : []),
    );
    applied.catch(() => undefined);
    // Looking costs CPU that the contestants need.
    while ((await party.ledger.bulk.get(plan.planId))?.state !== 'finished') await sleep(250);
    await applied;
    const after = useOf(party.up.pid);
    const status = await party.curfew('bulk', 'status', plan.planId);
    const counts = await countsOf(fleet.announced);
    const cpu = before === null || after === null ? null : after.cpuSeconds - before.cpuSeconds;
    const appliedMs = Date.parse(status.appliedAt ?? '');
    const finishedMs = Date.parse(status.finishedAt ?? '');
    const { firstCancelMs, lastCancelMs } = counts;
    if (firstCancelMs === null || lastCancelMs === null) throw new Error('Nothing was sent.');
    const seconds = (fromMs: number, toMs: number): number => round((toMs - fromMs) / 1_000);
    return {
      planSeconds: round(planSeconds),
      sendingPerSecond: round(sessions / ((lastCancelMs - firstCancelMs) / 1_000), 0),
      wholePerSecond: round(sessions / ((finishedMs - appliedMs) / 1_000), 0),
      parts: {
        before: seconds(appliedMs, firstCancelMs),
        sending: seconds(firstCancelMs, lastCancelMs),
        after: seconds(lastCancelMs, finishedMs),
      },
      requests: counts.requests,
      endedAtVendor: counts.ended,
      askedAgain: counts.cancelledAgain,
      outcomes: status.progress.outcomes,
      workerCpuMicrosPerTarget: cpu === null ? null : round((cpu * 1e6) / sessions, 0),
      workerPeakMb: after === null ? null : round(after.rssPeakBytes / 2 ** 20, 0),
    };
  } finally {
    await party.stop();
    await fleet.stop();
  }
}

/** What grows while a very large job is at work: memory, the workflow's history, anything else in Temporal. */
async function million(sessions: number, minutes: number) {
  const fleet = await vendor(sessions);
  const party = await curfewFor(fleet.announced);
  const temporal = await connectClient(resolveTemporal({ env: party.env, home: party.home }), { retryForMs: 5_000 });
  try {
    const plannedAt = performance.now();
    const plan = await party.curfew('bulk', 'plan', '--all');
    const planSeconds = round((performance.now() - plannedAt) / 1_000);
    const before = useOf(party.up.pid);
    await party.curfew('bulk', 'apply', plan.planId, '--yes', '--rate', '10000/s', '--canary', '10');
    const memoryMb: number[] = [];
    const endsAt = performance.now() + minutes * 60_000;
    let state: string | undefined;
    while (performance.now() < endsAt && state !== 'finished') {
      await sleep(15_000);
      memoryMb.push(round((useOf(party.up.pid)?.rssBytes ?? 0) / 2 ** 20, 0));
      state = (await party.ledger.bulk.get(plan.planId))?.state;
    }
    const handle = temporal.client.workflow.getHandle(bulkWorkflowId(plan.planId));
    const description = await handle.describe();
    const workflows = await temporal.client.workflow.count();
    const askedFor = performance.now();
    const status = await party.curfew('bulk', 'status', plan.planId);
    const statusSeconds = round((performance.now() - askedFor) / 1_000);
    if (state !== 'finished') await party.curfew('bulk', 'abort', plan.planId, '--yes');
    const after = useOf(party.up.pid);
    return {
      targets: sessions,
      planSeconds,
      applied: status.progress,
      perSecond: round((await countsOf(fleet.announced)).ended / (minutes * 60), 0),
      statusSeconds,
      memoryMb,
      historyEvents: description.historyLength,
      historyBytes: description.historySize ?? null,
      workflowsInTemporal: workflows.count,
      workerCpuSeconds: before === null || after === null ? null : round(after.cpuSeconds - before.cpuSeconds),
    };
  } finally {
    await temporal.close();
    await party.stop();
    await fleet.stop();
  }
}

/** Design figures of Temporal's own batch operations, for comparison; from its documentation, not measured here. */
const TEMPORAL_BATCH = {
  operationsPerSecond: 50,
  tells: 'counts of done and failed operations, no outcome per target',
};

async function main(): Promise<void> {
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return;
  }
  const sessions = Number(values.sessions);
  const machine = { cpus: cpus().length, loadAverage: loadavg().map((load) => round(load)), node: process.version };
  if (values.million !== undefined) {
    const figures = await million(sessions, Number(values.million));
    console.log(JSON.stringify({ bench: 'bulk-million', machine, ...figures }));
    return;
  }
  const rounds: Round[] = [];
  for (let done = 0; done < Number(values.rounds); done += 1) {
    const fast = await pair('cancel', sessions);
    const usual = await pair('read-and-cancel', sessions);
    rounds.push({ fast, default: usual });
    console.log(
      JSON.stringify({
        bench: 'bulk',
        machine: { ...machine, loadAverage: loadavg().map((load) => round(load)) },
        targets: sessions,
        concurrency: BULK_CONCURRENCY,
        fast,
        default: usual,
        temporalBatchOperation: TEMPORAL_BATCH,
      }),
    );
  }
  if (rounds.length > 1)
    console.log(JSON.stringify({ bench: 'bulk-median', rounds: rounds.length, ...mediansOf(rounds) }));
}

interface Pair {
  readonly curfew: CurfewFigures;
  readonly loop: BareLoopResult;
  /** Goal: at least 0.95. */
  readonly ratioSending: number;
  /** With the last confirmation, some seconds after the last request, in it. Goal: at least 0.85. */
  readonly ratioWhole: number;
  /** The loop's CPU per target to Curfew's: what is left of the ratio where the machine is not quiet. */
  readonly ratioCpu: number | null;
}

interface Round {
  readonly fast: Pair;
  readonly default: Pair;
}

async function pair(mode: BareLoopResult['mode'], sessions: number): Promise<Pair> {
  const bare = await loop(mode, sessions);
  const curfew = await contest(mode === 'cancel', sessions);
  return {
    curfew,
    loop: bare,
    ratioSending: round(curfew.sendingPerSecond / bare.targetsPerSecond),
    ratioWhole: round(curfew.wholePerSecond / bare.targetsPerSecond),
    ratioCpu: ratio(curfew.workerCpuMicrosPerTarget, bare.cpuMicrosPerTarget),
  };
}

function mediansOf(rounds: readonly Round[]) {
  const of = (kind: keyof Round) => {
    const median = (figure: (pair: Pair) => number | null): number | null =>
      medianOf(rounds.map((one) => figure(one[kind])));
    return {
      ratioSending: median(({ ratioSending }) => ratioSending),
      ratioWhole: median(({ ratioWhole }) => ratioWhole),
      ratioCpu: median(({ ratioCpu }) => ratioCpu),
      workerCpuMicrosPerTarget: median(({ curfew }) => curfew.workerCpuMicrosPerTarget),
      loopCpuMicrosPerTarget: median(({ loop: bare }) => bare.cpuMicrosPerTarget),
    };
  };
  return { fast: of('fast'), default: of('default') };
}

try {
  await main();
} finally {
  await stopAll();
}
