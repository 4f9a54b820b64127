import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { got } from 'got';
import { BULK_CONCURRENCY, bulkWorkflowId, type BulkStatus } from '../src/core/contract.js';
import { cacheDir, homePaths } from '../src/platform/home.js';
import { openLedger } from '../src/adapters/ledger/ledger.js';
import { obtainTemporalCli } from '../src/adapters/temporal/binary.js';
import { connectClient, resolveTemporal } from '../src/adapters/temporal/connection.js';
import type { BareLoopResult } from './bare-loop.js';
import type { BulkVendorCounts, BulkVendorReady } from './bulk-vendor.js';
import { HERE, mainIn } from './curfew.js';
import { atLeast, atMost, medianOf, ratio, round } from './figures.js';
import { script, start, stopAll, useOf } from './processes.js';

const MAIN = mainIn(HERE);
const run = promisify(execFile);

const USAGE = `Usage: npx tsx bench/bulk.ts [options]      (after \`npm run build\`)
  --sessions N     targets of each contest                                    (20000)
  --agents N       agents that they are spread over                           (100)
  --rounds N       pairs of each kind, loop and Curfew in turn; medians       (1)
  --million MIN    instead: plan --sessions targets, apply for so many minutes, look at what grows`;

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '20000' },
    agents: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '1' },
    million: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

interface CurfewFigures {
  readonly planSeconds: number;
  /** From the first cancel request to the last, as the vendor saw them. */
  readonly sendingPerSecond: number;
  /** From `bulk apply` to the last confirmed outcome. */
  readonly wholePerSecond: number;
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

interface LoopFigures extends BareLoopResult {
  /** From the first cancel request to the last, as the vendor saw them. */
  readonly sendingPerSecond: number;
}

/** From the first cancel request to the last, as the vendor saw them. */
const sendingPerSecond = (sessions: number, { sendingMs }: BulkVendorCounts): number =>
  round((sessions * 1_000) / (sendingMs ?? NaN), 0);

async function loop(mode: BareLoopResult['mode'], sessions: number): Promise<LoopFigures> {
  const fleet = await vendor(sessions);
  try {
    const options = ['--url', fleet.announced.url, '--mode', mode, '--sessions', String(sessions)];
    const args = script('bare-loop.ts', ...options, '--concurrency', String(BULK_CONCURRENCY));
    const { stdout } = await run(process.execPath, args);
    const counts = await countsOf(fleet.announced);
    return { ...(JSON.parse(stdout) as BareLoopResult), sendingPerSecond: sendingPerSecond(sessions, counts) };
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
  const up = await start<unknown>([MAIN, 'up', '--json'], { env, cwd: folder });
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

/** Between two looks whether a job has finished, ms. */
const LOOK_MS = 500;

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
    let failed = false;
    applied.catch(() => (failed = true));
    // Seldom: what is asked meanwhile takes CPU that the loop has to itself.
    while ((await party.ledger.bulk.get(plan.planId))?.state !== 'finished') {
      if (failed) await applied;
      await sleep(LOOK_MS);
    }
    await applied;
    const after = useOf(party.up.pid);
    const status = await party.curfew('bulk', 'status', plan.planId);
    const counts = await countsOf(fleet.announced);
    const cpu = before === null || after === null ? null : after.cpuSeconds - before.cpuSeconds;
    const appliedAt = Date.parse(status.appliedAt ?? '');
    return {
      planSeconds: round(planSeconds),
      sendingPerSecond: sendingPerSecond(sessions, counts),
      wholePerSecond: round(sessions / ((Date.parse(status.finishedAt ?? '') - appliedAt) / 1_000), 0),
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
  while (rounds.length < Number(values.rounds)) {
    const loopFirst = rounds.length % 2 === 0;
    const fast = await pair(true, sessions, loopFirst);
    const usual = await pair(false, sessions, loopFirst);
    rounds.push({ fast, default: usual });
    console.error(`round ${rounds.length}: --fast ${inWords(fast)}; as usual ${inWords(usual)}`);
  }
  const medians = {
    fast: mediansOf(rounds.map(({ fast }) => fast)),
    default: mediansOf(rounds.map((one) => one.default)),
  };
  const document = {
    bench: 'bulk',
    machine: { ...machine, loadAverageAfter: loadavg().map((load) => round(load)) },
    targets: sessions,
    concurrency: BULK_CONCURRENCY,
    goals: goalsOf(medians, rounds, sessions),
    medians,
    rounds,
    temporalBatchOperation: TEMPORAL_BATCH,
  };
  console.log(JSON.stringify(document, null, 2));
}

interface Ratios {
  /** Sessions a second while sending: Curfew's divided by the loop's. */
  readonly ratioSending: number;
  /** The same of the whole job, with the last confirmation, some seconds after the last request, in it. */
  readonly ratioWhole: number;
  /** The loop's CPU per session divided by Curfew's. */
  readonly ratioCpu: number | null;
}
interface Pair extends Ratios {
  readonly curfew: CurfewFigures;
  readonly loop: LoopFigures;
}
interface Round {
  readonly fast: Pair;
  readonly default: Pair;
}
type Medians = { readonly [Ratio in keyof Ratios]: number | null };

/** One after the other, each on a new vendor. */
async function pair(fast: boolean, sessions: number, loopFirst: boolean): Promise<Pair> {
  const bare = () => loop(fast ? 'cancel' : 'read-and-cancel', sessions);
  const early = loopFirst ? await bare() : null;
  const curfew = await contest(fast, sessions);
  const other = early ?? (await bare());
  return {
    curfew,
    loop: other,
    ratioSending: round(curfew.sendingPerSecond / other.sendingPerSecond, 3),
    ratioWhole: round(curfew.wholePerSecond / other.targetsPerSecond, 3),
    ratioCpu: ratio(curfew.workerCpuMicrosPerTarget, other.cpuMicrosPerTarget),
  };
}

const inWords = ({ ratioSending, ratioWhole }: Ratios): string =>
  `${ratioSending} of the loop while sending, ${ratioWhole} for the whole job`;

const mediansOf = (pairs: readonly Ratios[]): Medians => ({
  ratioSending: medianOf(pairs.map(({ ratioSending }) => ratioSending)),
  ratioWhole: medianOf(pairs.map(({ ratioWhole }) => ratioWhole)),
  ratioCpu: medianOf(pairs.map(({ ratioCpu }) => ratioCpu)),
});

/** The point that the goals are for. */
const ROUNDS = 5;
const TARGETS = 20_000;

function goalsOf(
  medians: { readonly fast: Medians; readonly default: Medians },
  rounds: readonly Round[],
  sessions: number,
) {
  const applies = rounds.length >= ROUNDS && sessions === TARGETS;
  const sending = (how: string, { ratioSending }: Medians) =>
    atLeast(`${how}: at least 0.95 of a bare loop while sending, median of five pairs`, 0.95, ratioSending, applies);
  const whole = (how: string, { ratioWhole }: Medians) =>
    atLeast(`${how}: at least 0.85 of a bare loop for the whole job, median of five pairs`, 0.85, ratioWhole, applies);
  const askedAgain = rounds.flatMap((one) => [one.fast, one.default]).map(({ curfew }) => curfew.askedAgain);
  return {
    fastSending: sending('--fast', medians.fast),
    fastWhole: whole('--fast', medians.fast),
    defaultSending: sending('as usual', medians.default),
    defaultWhole: whole('as usual', medians.default),
    askedAgain: atMost('no session is asked twice', 0, Math.max(0, ...askedAgain)),
  };
}

try {
  await main();
} finally {
  await stopAll();
}
