import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { got } from 'got';
import { cacheDir, homePaths } from '../src/platform/home.js';
import { openLedger, type Ledger } from '../src/adapters/ledger/ledger.js';
import { obtainTemporalCli } from '../src/adapters/temporal/binary.js';
import { createCases, type Cases } from '../src/adapters/temporal/cases.js';
import { connectClient, resolveTemporal } from '../src/adapters/temporal/connection.js';
import { startCluster } from '../test/support/cluster.js';
import { round, spreadOf, type Spread } from './figures.js';
import { start, stopAll, useOf, type Started } from './processes.js';

/**
 * How many cases a second a deployment carries, and how long one takes from the order to the confirmed end: on the Temporal
 * server that `curfew up` starts (SQLite), and on a Temporal server with PostgreSQL, each with its own ledger.
 */
const USAGE = `Usage: npx tsx bench/cases.ts [options]      (after \`npm run build\`)
  --on WHERE       embedded, cluster, or both in turn                       (both)
  --workers N      worker processes on the cluster                          (3)
  --embedded-workers N  the same on the embedded server                     (1)
  --cases N        cases ordered all at once                                (300)
  --pace N         cases a second in the paced part                         (2)
  --seconds N      length of the paced part                                 (60)`;

const { values } = parseArgs({
  options: {
    on: { type: 'string', default: 'both' },
    workers: { type: 'string', default: '3' },
    'embedded-workers': { type: 'string', default: '1' },
    cases: { type: 'string', default: '300' },
    pace: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '60' },
    help: { type: 'boolean', default: false },
  },
});

const MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
const SIMULATOR = fileURLToPath(new URL('../simulator/main.ts', import.meta.url));
const ORDERS_AT_ONCE = 16;
const HANG_LIMIT_MS = 20 * 60_000;

interface Vendor {
  readonly url: string;
  readonly controlUrl: string;
  readonly apiKey: string;
  readonly userId: string;
}

interface PartFigures {
  readonly cases: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** From the first order to the last outcome. */
  readonly casesPerSecond: number;
  /** From the order to the outcome. */
  readonly startToConfirmedMs: Spread | null;
  /** CPU of the workers, per case, ms. */
  readonly workerCpuMsPerCase: number | null;
}

interface Figures {
  readonly on: 'embedded' | 'cluster';
  readonly workers: number;
  readonly paced: PartFigures;
  readonly burst: PartFigures;
  readonly cancelRequests: number;
  readonly endedByUs: number;
  readonly workerPeakMb: number | null;
  readonly load: number;
}

/** What a deployment is here: processes, a ledger, and a way to open cases. */
interface Deployment {
  readonly workers: readonly Started<unknown>[];
  readonly ledger: Ledger;
  readonly cases: Cases;
  stop(): Promise<void>;
}

const paced = Number(values.pace) * Number(values.seconds);
const burst = Number(values.cases);
const ids = (part: string, count: number): string[] => Array.from({ length: count }, (_, i) => `sess_${part}_${i + 1}`);

async function vendorFor(folder: string): Promise<Started<Vendor>> {
  const sessions = (part: string, count: number) => ({ id: `sess_${part}`, count, turnAge: '1h' });
  const scenario = {
    slots: 100_000,
    agents: [{ id: 'agent_bench', sessions: [sessions('paced', paced), sessions('burst', burst)] }],
  };
  const file = join(folder, 'scenario.json');
  await writeFile(file, JSON.stringify(scenario));
  return start<Vendor>(['--import', 'tsx', SIMULATOR], { env: { ...process.env, SCENARIO: file } });
}

async function deploy(on: Figures['on'], folder: string, vendor: Vendor): Promise<Deployment> {
  const { path: binary } = await obtainTemporalCli({ env: process.env, cacheDir: cacheDir(process.env) });
  const cluster = on === 'cluster' ? await startCluster() : null;
  const home = join(folder, 'home');
  const env = {
    PATH: process.env['PATH'],
    HOME: folder,
    CURFEW_HOME: home,
    TEMPORAL_CLI_PATH: binary,
    GUMLOOP_BASE_URL: vendor.url,
    GUMLOOP_API_KEY: vendor.apiKey,
    GUMLOOP_USER_ID: vendor.userId,
    // The vendor's limit is not what is measured.
    CURFEW_REQUESTS_PER_SECOND: '100000',
    CURFEW_LOG: 'error',
    ...cluster?.settings,
  };
  const count = Number(cluster === null ? values['embedded-workers'] : values.workers);
  const workers: Started<unknown>[] = [];
  for (let i = 0; i < count; i += 1) {
    const command = cluster === null && i === 0 ? 'up' : 'worker';
    workers.push(await start<unknown>([MAIN, command, '--json'], { env, cwd: folder }));
  }
  const ledger = await openLedger(cluster?.settings['CURFEW_DATABASE_URL'] ?? homePaths(home).ledger);
  const temporal = await connectClient(resolveTemporal({ env, home }));
  return {
    workers,
    ledger,
    cases: createCases(temporal.client, true),
    stop: async () => {
      await temporal.close();
      await ledger.close();
      for (const worker of workers.toReversed()) await worker.stop();
      await cluster?.stop();
    },
  };
}

/** As `curfew cancel` does it. */
async function order({ ledger, cases }: Deployment, sessionId: string): Promise<void> {
  const orderId = await ledger.orders.create({
    ...{ sessionId, source: 'person', requestedBy: 'bench', evenIfExempt: false, turnKey: null },
    reason: { text: 'bench', policy: null, policyVersion: null, limit: null, observed: null },
  });
  await cases.join(sessionId, orderId, 60_000);
}

/** @param perSecond - null: all at once */
async function part(
  deployment: Deployment,
  sessionIds: readonly string[],
  perSecond: number | null,
): Promise<PartFigures> {
  const cpu = (): number | null => {
    const used = deployment.workers.map(({ pid }) => useOf(pid)?.cpuSeconds ?? null);
    return used.includes(null) ? null : used.reduce<number>((sum, seconds) => sum + (seconds ?? 0), 0);
  };
  const before = cpu();
  const began = performance.now();
  const waiting = [...sessionIds];
  const ordering = Array.from({ length: perSecond === null ? ORDERS_AT_ONCE : sessionIds.length }, async (_, i) => {
    if (perSecond !== null) await sleep((i * 1_000) / perSecond);
    for (let id = waiting.shift(); id !== undefined; id = perSecond === null ? waiting.shift() : undefined)
      await order(deployment, id);
  });
  await Promise.all(ordering);
  const wanted = new Set(sessionIds);
  for (;;) {
    const views = (await deployment.ledger.orders.views({ limit: 100_000 })).filter(({ result }) =>
      wanted.has(result.sessionId),
    );
    const settled = views.filter(({ decidedAtMs }) => decidedAtMs !== null);
    if (settled.length === sessionIds.length) {
      const outcomes: Record<string, number> = {};
      for (const { result } of settled) outcomes[result.outcome ?? ''] = (outcomes[result.outcome ?? ''] ?? 0) + 1;
      const orderedAt = settled.map(({ result }) => Date.parse(result.orderedAt));
      const decidedAt = settled.map(({ decidedAtMs }) => decidedAtMs ?? 0);
      const seconds = (Math.max(...decidedAt) - Math.min(...orderedAt)) / 1_000;
      const used = cpu();
      return {
        cases: settled.length,
        outcomes,
        casesPerSecond: round(settled.length / seconds),
        startToConfirmedMs: spreadOf(decidedAt.map((at, i) => at - (orderedAt[i] ?? 0))),
        workerCpuMsPerCase:
          before === null || used === null ? null : round(((used - before) * 1_000) / settled.length, 0),
      };
    }
    if (performance.now() - began > HANG_LIMIT_MS)
      throw new Error(`Only ${settled.length} of ${sessionIds.length} cases were settled.`);
    await sleep(500);
  }
}

async function measure(on: Figures['on']): Promise<Figures> {
  const folder = await mkdtemp(join(tmpdir(), 'curfew-bench-'));
  const vendor = await vendorFor(folder);
  const deployment = await deploy(on, folder, vendor.announced);
  try {
    // What a first case needs besides: the bundle's compilation, connections.
    const [first, ...rest] = ids('paced', paced);
    if (first !== undefined) await part(deployment, [first], null);
    console.error(`${on}: ${rest.length} cases, ${values.pace} a second`);
    const pacedFigures = await part(deployment, rest, Number(values.pace));
    console.error(`${on}: ${burst} cases at once`);
    const burstFigures = await part(deployment, ids('burst', burst), null);
    const truth = await got(`${vendor.announced.controlUrl}/truth`).json<Truth>();
    const turns = Object.values(truth.sessions).flatMap((session) => session.turns);
    const peaks = deployment.workers.map(({ pid }) => useOf(pid)?.rssPeakBytes ?? 0);
    return {
      on,
      workers: deployment.workers.length,
      paced: pacedFigures,
      burst: burstFigures,
      cancelRequests: truth.cancels.length,
      endedByUs: turns.filter(({ endedBy }) => typeof endedBy === 'object' && endedBy !== null).length,
      workerPeakMb: round(Math.max(...peaks) / 2 ** 20, 0) || null,
      load: round(loadavg()[0] ?? 0, 1),
    };
  } finally {
    await deployment.stop();
    await vendor.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** As much of the simulator's record as is looked at here. */
interface Truth {
  readonly sessions: Readonly<Record<string, { readonly turns: readonly { readonly endedBy: unknown }[] }>>;
  readonly cancels: readonly unknown[];
}

if (values.help) {
  console.log(USAGE);
} else if (!['embedded', 'cluster', 'both'].includes(values.on)) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  try {
    const results: Figures[] = [];
    for (const on of ['embedded', 'cluster'] as const) {
      if (values.on === on || values.on === 'both') results.push(await measure(on));
    }
    console.log(JSON.stringify({ bench: 'cases', cpus: cpus().length, node: process.version, results }, null, 2));
  } finally {
    await stopAll();
  }
}
