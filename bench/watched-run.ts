import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import got from 'got';
import type { RequestCounts, Truth } from '../simulator/truth.js';
import { countBy, planFleet, sessionsIn, type FleetShape, type Kind } from './fleet.js';
import { round } from './figures.js';
import { judge, type Judgement, type Violation } from './judge.js';
import { script, start, useOf, type ProcessUse, type Started } from './processes.js';
import type { RequestsBySession } from './session-requests.js';

/** When things happen, ms after the fleet came into being. */
export interface Timeline {
  /** The contestant starts, and gets to know the fleet. */
  readonly warmUpMs: number;
  /** Nobody breaks a limit. */
  readonly steadyMs: number;
  /** Turns cross their deadlines. */
  readonly violationsMs: number;
  /** Before a burst: what was begun has time to end; left out: no burst. */
  readonly settleMs?: number;
  /** A burst of violations, and time to ask for all of them. */
  readonly burstMs?: number;
  /** What was begun comes to its end. */
  readonly drainMs: number;
}

export interface FleetAddress {
  readonly url: string;
  readonly controlUrl: string;
  readonly apiKey: string;
  readonly userId: string;
  /** Ms since the Unix epoch. */
  readonly bornAt: number;
  /** Tells which requests came about each violator. */
  readonly recordUrl: string;
}

/** One who ends violators: Curfew, or the naive poller. */
export interface Contestant {
  readonly pid: number;
  /** Its Temporal server, which is counted apart; null: it has none. */
  readonly serverPid: number | null;
  /** Size of what it keeps on disk, bytes. */
  stored(): number;
  stop(): Promise<void>;
}

interface Snapshot {
  readonly atMs: number;
  readonly requests: RequestCounts['requests'];
  readonly use: ProcessUse | null;
  readonly serverUse: ProcessUse | null;
  /** The most since the phase began. */
  readonly rssPeakBytes: number;
  readonly stored: number;
  readonly load: number;
}

/** What happened between two snapshots. */
export interface WindowFigures {
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly requestsPerSessionHour: {
    /** Lists of agents and of sessions, and retrieves: what watching costs. */
    readonly listAndRetrieve: number;
    readonly list: number;
    readonly retrieve: number;
    readonly cancel: number;
    readonly other: number;
  };
  readonly cpuSecondsPerMinute: number | null;
  /** Of Curfew's Temporal server. */
  readonly serverCpuSecondsPerMinute: number | null;
  readonly rssBytes: number | null;
  /** The most of what was seen once a second. */
  readonly rssPeakBytes: number | null;
  readonly storedBytesGrowth: number;
  /** Of the machine over the last minute, at the end. Above its number of CPUs, everything waits. */
  readonly loadAverage: number;
}

/** CPU beyond what the steady phase takes, from the first violation to the end, per violator that was asked, s. */
export interface CpuPerViolator {
  readonly worker: number | null;
  readonly server: number | null;
}

export interface RunFigures extends Omit<Judgement, 'violations'> {
  readonly liveSessions: number;
  readonly kinds: Partial<Record<Kind, number>>;
  readonly windows: {
    /** From the start on, with the first sight of everything. */
    readonly warmUp: WindowFigures;
    readonly steady: WindowFigures;
    readonly violations: WindowFigures;
    /** Null: no burst. */
    readonly settle: WindowFigures | null;
    readonly burst: WindowFigures | null;
    readonly drain: WindowFigures;
  };
  readonly cpuSecondsPerViolator: CpuPerViolator;
  readonly rssPeakBytes: number | null;
  /** Of its Temporal server. */
  readonly serverRssPeakBytes: number | null;
  /** From the start to the last retrieve of the warm-up: by then everything was seen, s. */
  readonly firstSightSeconds: number | null;
  /** Absolute times of these windows. */
  readonly steady: { readonly fromMs: number; readonly toMs: number };
  readonly violations: { readonly fromMs: number; readonly toMs: number };
}

/** Lets a contestant watch a new fleet from beginning to end, and measures. */
export async function watchRun<C extends Contestant>(
  shape: FleetShape,
  timeline: Timeline,
  enter: (fleet: FleetAddress) => Promise<C>,
  say: (text: string) => void,
  beforeEnd: (contestant: C, figures: RunFigures, violations: readonly Violation[]) => Promise<void> = async () => {},
): Promise<RunFigures> {
  const planned = planFleet(shape);
  const fleet: Started<FleetAddress> = await start<FleetAddress>(script('fleet-process.ts', JSON.stringify(shape)));
  const { bornAt, controlUrl, recordUrl } = fleet.announced;
  const contestant = await enter(fleet.announced);
  // One that dies has no figures afterwards.
  const peaks = { ours: 0, servers: 0, inPhase: 0 };
  const snapshot = async (): Promise<Snapshot> => {
    const { requests } = await got(`${controlUrl}/requests`).json<RequestCounts>();
    const { pid, serverPid } = contestant;
    const serverUse = serverPid === null ? null : useOf(serverPid);
    const use = useOf(pid);
    peaks.ours = Math.max(peaks.ours, use?.rssPeakBytes ?? 0);
    peaks.servers = Math.max(peaks.servers, serverUse?.rssPeakBytes ?? 0);
    peaks.inPhase = Math.max(peaks.inPhase, use?.rssBytes ?? 0);
    return {
      atMs: Date.now(),
      requests,
      use,
      serverUse,
      rssPeakBytes: peaks.inPhase,
      stored: contestant.stored(),
      load: loadavg()[0] ?? 0,
    };
  };
  const first = await snapshot();

  let due = bornAt;
  let last = first;
  let quietAt: number | null = null;
  const until = async (name: string, forMs: number): Promise<Snapshot> => {
    due += forMs;
    peaks.inPhase = 0;
    while (Date.now() < due) {
      await sleep(Math.min(1_000, due - Date.now()));
      const now = await snapshot();
      const seconds = (now.atMs - last.atMs) / 1_000;
      if (seconds < 0.5) continue;
      const perSecond = (total(now) - total(last)) / seconds;
      if (now.requests.retrieve > last.requests.retrieve && name === 'first sight') quietAt = now.atMs;
      last = now;
      const rss = now.use === null ? '' : `  ${Math.round(now.use.rssBytes / 2 ** 20)} MB`;
      if (Math.round(now.atMs / 1_000) % 10 === 0) {
        say(`${name}: ${Math.round((due - now.atMs) / 1_000)} s left  ${Math.round(perSecond)} requests/s${rss}`);
      }
    }
    return snapshot();
  };
  const warm = await until('first sight', timeline.warmUpMs);
  const steady = await until('steady', timeline.steadyMs);
  const violated = await until('violations', timeline.violationsMs);
  const { settleMs, burstMs } = timeline;
  const settled = settleMs === undefined ? null : await until('settle', settleMs);
  const burst = burstMs === undefined ? null : await until('burst', burstMs);
  const drained = await until('drain', timeline.drainMs);
  const truth = await got(`${controlUrl}/truth`).json<Truth>();
  const requests = await got(recordUrl).json<RequestsBySession>();

  const live = sessionsIn(shape);
  const { violations, ...judged } = judge(planned, truth, requests);
  const figures: RunFigures = {
    liveSessions: live,
    kinds: countBy(planned.map(({ kind }) => kind)),
    ...judged,
    windows: {
      warmUp: between({ ...first, atMs: bornAt }, warm, live),
      steady: between(warm, steady, live),
      violations: between(steady, violated, live),
      settle: settled && between(violated, settled, live),
      burst: burst && between(settled ?? violated, burst, live),
      drain: between(burst ?? settled ?? violated, drained, live),
    },
    cpuSecondsPerViolator: cpuPerViolator(warm, steady, drained, judged.violators.asked),
    rssPeakBytes: peaks.ours || null,
    serverRssPeakBytes: peaks.servers || null,
    firstSightSeconds: quietAt === null ? null : round((quietAt - bornAt) / 1_000, 0),
    steady: { fromMs: warm.atMs, toMs: steady.atMs },
    violations: { fromMs: steady.atMs, toMs: violated.atMs },
  };
  await beforeEnd(contestant, figures, violations);
  await contestant.stop();
  await fleet.stop();
  return figures;
}

const total = ({ requests }: Snapshot): number => Object.values(requests).reduce((sum, count) => sum + count, 0);

function between(from: Snapshot, to: Snapshot, liveSessions: number): WindowFigures {
  const seconds = (to.atMs - from.atMs) / 1_000;
  const perSessionHour = (count: number): number => round((count / liveSessions / seconds) * 3_600);
  const more = (name: keyof Snapshot['requests']): number => to.requests[name] - from.requests[name];
  const [list, retrieve, cancel] = [more('agents') + more('list'), more('retrieve'), more('cancel')];
  const all = total(to) - total(from);
  const cpu = (before: ProcessUse | null, after: ProcessUse | null): number | null =>
    before === null || after === null ? null : round(((after.cpuSeconds - before.cpuSeconds) / seconds) * 60);
  return {
    seconds: round(seconds, 1),
    requestsPerSecond: round(all / seconds, 1),
    requestsPerSessionHour: {
      listAndRetrieve: perSessionHour(list + retrieve),
      list: perSessionHour(list),
      retrieve: perSessionHour(retrieve),
      cancel: perSessionHour(cancel),
      other: perSessionHour(all - list - retrieve - cancel),
    },
    cpuSecondsPerMinute: cpu(from.use, to.use),
    serverCpuSecondsPerMinute: cpu(from.serverUse, to.serverUse),
    rssBytes: to.use?.rssBytes ?? null,
    rssPeakBytes: to.rssPeakBytes || null,
    storedBytesGrowth: to.stored - from.stored,
    loadAverage: to.load,
  };
}

/** Shorter than this, a steady phase says nothing about what steady work costs, ms. */
const LEAST_STEADY_MS = 5_000;

function cpuPerViolator(warm: Snapshot, steady: Snapshot, end: Snapshot, asked: number): CpuPerViolator {
  const of = (use: (snapshot: Snapshot) => ProcessUse | null): number | null => {
    const [before, from, to] = [use(warm)?.cpuSeconds, use(steady)?.cpuSeconds, use(end)?.cpuSeconds];
    const steadyMs = steady.atMs - warm.atMs;
    if (before === undefined || from === undefined || to === undefined) return null;
    if (asked === 0 || steadyMs < LEAST_STEADY_MS) return null;
    const usual = ((from - before) / steadyMs) * (end.atMs - steady.atMs);
    return round((to - from - usual) / asked, 3);
  };
  return { worker: of(({ use }) => use), server: of(({ serverUse }) => serverUse) };
}
