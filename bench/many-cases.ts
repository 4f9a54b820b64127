import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import got from 'got';
import pMap from 'p-map';
import type { Truth } from '../simulator/truth.js';
import { openLedger, type Ledger } from '../src/adapters/ledger/ledger.js';
import { openDatabase, type OpenedDatabase } from '../src/adapters/ledger/open.js';
import type { OrderView } from '../src/adapters/ledger/results.js';
import { createCases } from '../src/adapters/temporal/cases.js';
import { connectClient, resolveTemporal } from '../src/adapters/temporal/connection.js';
import { contradictions } from '../test/support/oracle.js';
import { enterCurfew, type CurfewContestant } from './curfew.js';
import { megabytes, round, spreadOf } from './figures.js';
import { linesIn } from './log-lines.js';
import { start, stopAll, stopAllOnSignal, useOf } from './processes.js';

/**
 * So many cases at once, on the Temporal server that `curfew up` starts: all turns are over a policy's limit when it comes into
 * force, or a person orders the end of them all. Is each order carried out, and what does it take?
 */
const USAGE = `Usage: npx tsx bench/many-cases.ts [options]      (after \`npm run build\`)
  --cases N      sessions, each in a turn that is to be ended     (10000)
  --by WHO       policy or persons                                (policy)
  --agents N     agents that the sessions are spread over         (100)
  --hours H      gives up after so long                           (3)`;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '10000' },
    by: { type: 'string', default: 'policy' },
    agents: { type: 'string', default: '100' },
    hours: { type: 'string', default: '3' },
    help: { type: 'boolean', default: false },
  },
});

const SIMULATOR = fileURLToPath(new URL('../simulator/main.ts', import.meta.url));
const POLICIES = `version: 1
policies:
  - name: many
    match: { agents: ['*'] }
    limits: { max_runtime: 8h }
    mode: enforce
    caps: { max_cancels: 1000000, max_percent: 100, per: 1h }
`;
/** The vendor's limit is not what is measured. */
const REQUESTS_PER_SECOND = 10_000;
const LOOK_MS = 2_000;
const ORDERS_AT_ONCE = 16;
/** Sessions beside them, as a share, that break nothing: the policy's caps are shares of all that are live. */
const BYSTANDERS = 0.25;
const BYSTANDER = 'sess_by';
const isBystander = (sessionId: string): boolean => sessionId.startsWith(BYSTANDER);
/** Orders whose results are read by one statement. */
const PAGE = 200;

type By = 'policy' | 'persons';
interface Vendor {
  readonly url: string;
  readonly controlUrl: string;
  readonly apiKey: string;
  readonly userId: string;
}

async function vendorOf(folder: string, cases: number, agents: number) {
  const perAgent = Math.ceil(cases / agents);
  const bystanders = Math.ceil(BYSTANDERS * cases);
  const sessionsOf = (agent: number): number => Math.max(0, Math.min(perAgent, cases - agent * perAgent));
  const scenario = {
    slots: 2 * (cases + bystanders),
    agents: [
      ...Array.from({ length: agents }, (_, agent) => ({
        id: `agent_${agent}`,
        sessions: sessionsOf(agent) === 0 ? [] : [{ id: `sess_${agent}`, count: sessionsOf(agent), turnAge: '10h' }],
      })),
      { id: 'agent_by', sessions: [{ id: `${BYSTANDER}_`, count: bystanders }] },
    ],
  };
  const file = join(folder, 'scenario.json');
  await writeFile(file, JSON.stringify(scenario));
  return start<Vendor>(['--import', 'tsx', SIMULATOR], { env: { ...process.env, SCENARIO: file } });
}

/** As `curfew cancel` does it. */
async function orderAll({ home }: CurfewContestant, ledger: Ledger, sessionIds: readonly string[]): Promise<void> {
  const temporal = await connectClient(resolveTemporal({ env: {}, home }));
  try {
    const joined = createCases(temporal.client, true);
    await pMap(
      sessionIds,
      async (sessionId) => {
        const orderId = await ledger.orders.create({
          ...{ sessionId, source: 'person', requestedBy: 'bench', evenIfExempt: false, turnKey: null },
          reason: { text: 'bench', policy: null, policyVersion: null, limit: null, observed: null },
        });
        // The worker takes up what could not be joined in time.
        await joined.join(sessionId, orderId, 60_000).catch(() => {});
      },
      { concurrency: ORDERS_AT_ONCE },
    );
  } finally {
    await temporal.close();
  }
}

async function counts(db: OpenedDatabase['db']): Promise<{ orders: number; outcomes: number }> {
  const of = async (table: 'orders' | 'outcomes'): Promise<number> => {
    const { rows } = await db
      .selectFrom(table)
      .select(({ fn }) => fn.countAll<number>().as('rows'))
      .executeTakeFirstOrThrow();
    return Number(rows);
  };
  return { orders: await of('orders'), outcomes: await of('outcomes') };
}

async function allOrders(db: OpenedDatabase['db'], ledger: Ledger): Promise<OrderView[]> {
  const ids = (await db.selectFrom('orders').select('id').execute()).map(({ id }) => id);
  const views: OrderView[] = [];
  for (let from = 0; from < ids.length; from += PAGE) {
    views.push(...(await ledger.orders.views({ orderIds: ids.slice(from, from + PAGE), limit: PAGE })));
  }
  return views;
}

/** Looks until every case has its outcome, or the time is over. @returns the most that was used meanwhile */
async function follow(
  worker: CurfewContestant,
  db: OpenedDatabase['db'],
  cases: number,
  untilMs: number,
): Promise<{ peakRss: number; peakServerRss: number; lived: boolean }> {
  let [peakRss, peakServerRss, saidAt] = [0, 0, 0];
  for (;;) {
    const use = useOf(worker.pid);
    const server = worker.serverPid === null ? null : useOf(worker.serverPid);
    peakRss = Math.max(peakRss, use?.rssPeakBytes ?? 0);
    peakServerRss = Math.max(peakServerRss, server?.rssPeakBytes ?? 0);
    const { orders, outcomes } = await counts(db);
    const over = outcomes >= cases || performance.now() > untilMs || use === null;
    if (over || performance.now() - saidAt > 10_000) {
      saidAt = performance.now();
      const memory = `${megabytes(use?.rssBytes ?? null)} MB, server ${megabytes(server?.rssBytes ?? null)} MB`;
      console.error(`${orders} ordered, ${outcomes} with an outcome, ${memory}`);
    }
    if (over) return { peakRss, peakServerRss, lived: use !== null };
    await sleep(LOOK_MS);
  }
}

async function measure(by: By, cases: number, agents: number, hours: number) {
  const folder = await mkdtemp(join(tmpdir(), 'curfew-bench-'));
  const vendor = await vendorOf(folder, cases, agents);
  const beganAt = performance.now();
  const worker = await enterCurfew(vendor.announced, by === 'policy' ? POLICIES : null, folder, {
    requestsPerSecond: REQUESTS_PER_SECOND,
    settings: { CURFEW_LOG: 'info' },
  });
  const ledger = await openLedger(worker.ledger);
  const { db, close } = await openDatabase(worker.ledger);
  try {
    const { sessions } = await truthOf(vendor.announced);
    const wanted = Object.keys(sessions).filter((id) => !isBystander(id));
    const ordering = by === 'persons' ? orderAll(worker, ledger, wanted) : Promise.resolve();
    const used = await follow(worker, db, cases, beganAt + hours * 3_600_000);
    await ordering;
    const seconds = (performance.now() - beganAt) / 1_000;
    const cpuSeconds = useOf(worker.pid)?.cpuSeconds ?? null;
    const serverCpuSeconds = worker.serverPid === null ? null : (useOf(worker.serverPid)?.cpuSeconds ?? null);
    const orders = await allOrders(db, ledger);
    const truth = await truthOf(vendor.announced);
    await worker.stop();
    const wrong = contradictions({ orders: orders.map(({ result }) => result), truth, reads: [], kills: 0 });
    const ordered = new Set(orders.map(({ result }) => result.sessionId));
    const lost = wanted.filter((id) => !ordered.has(id)).length;
    const without = orders.filter(({ decidedAtMs }) => decidedAtMs === null).length;
    const log = linesIn(await readFile(worker.logFile, 'utf8'));
    return {
      cases,
      outcomes: tally(orders.map(({ result }) => result.outcome ?? 'none')),
      lost: lost + without,
      bystandersTouched: truth.cancels.filter(({ sessionId }) => isBystander(sessionId)).length,
      contradictions: [...wrong.I2, ...wrong.I3, ...wrong.I4],
      seconds: round(seconds, 0),
      casesPerSecond: round(orders.length / seconds, 1),
      orderToOutcomeMs: spreadOf(
        orders.flatMap(({ decidedAtMs, result }) =>
          decidedAtMs === null ? [] : [decidedAtMs - Date.parse(result.orderedAt)],
        ),
      ),
      cancelRequests: truth.cancels.length,
      peakRssMb: megabytes(used.peakRss),
      peakServerRssMb: megabytes(used.peakServerRss),
      workerLived: used.lived,
      cpuMsPerCase: cpuSeconds === null ? null : round((cpuSeconds * 1_000) / cases, 0),
      serverCpuMsPerCase: serverCpuSeconds === null ? null : round((serverCpuSeconds * 1_000) / cases, 0),
      logLines: { ...log, perCase: round(log.lines / cases, 3) },
    };
  } finally {
    await close();
    await ledger.close();
    await worker.stop();
    await vendor.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

const truthOf = ({ controlUrl }: Vendor): Promise<Truth> => got(`${controlUrl}/truth`).json<Truth>();

function tally(names: readonly string[]): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const name of names) counted[name] = (counted[name] ?? 0) + 1;
  return counted;
}

const [cases, agents, hours] = [Number(values.cases), Number(values.agents), Number(values.hours)];
const isBy = (text: string): text is By => text === 'policy' || text === 'persons';
if (values.help) console.log(USAGE);
else if (!isBy(values.by) || ![cases, agents, hours].every((value) => value > 0)) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  stopAllOnSignal();
  try {
    const load = loadavg()[0];
    const result = await measure(values.by, cases, Math.min(agents, cases), hours);
    const machine = { node: process.version, cpus: cpus().length, load: { before: load, after: loadavg()[0] } };
    console.log(JSON.stringify({ bench: 'many-cases', by: values.by, machine, ...result }, null, 2));
    if (result.lost + result.bystandersTouched + result.contradictions.length > 0) process.exitCode = 1;
  } finally {
    await stopAll();
  }
}
