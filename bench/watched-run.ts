import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import got from 'got';
import type { RequestCounts, Truth } from '../simulator/truth.js';
import { countBy, deadlineOf, planFleet, type FleetShape, type Kind, type PlannedSession } from './fleet.js';
import { round, spreadOf, type Spread } from './figures.js';
import { script, start, useOf, type ProcessUse, type Started } from './processes.js';

/** When things happen, ms after the fleet came into being. */
export interface Timeline {
  /** The contestant starts, and gets to know the fleet. */
  readonly warmUpMs: number;
  /** Nobody breaks a limit. */
  readonly steadyMs: number;
  /** Turns cross their deadlines. */
  readonly violationsMs: number;
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
  readonly storedBytesGrowth: number;
  /** Of the machine over the last minute, at the end. Above its number of CPUs, everything waits. */
  readonly loadAverage: number;
}

/** One violator: when its limit was reached, and when the first cancel request arrived; ms since the Unix epoch. */
export interface Violation {
  readonly sessionId: string;
  readonly deadlineAt: number;
  readonly askedAt: number | null;
}

export interface RunFigures {
  readonly liveSessions: number;
  readonly kinds: Partial<Record<Kind, number>>;
  readonly lagMs: {
    /** Deadline to the arrival of the first cancel request, of turns that crossed `max_runtime` while watched. */
    readonly runtime: Spread | null;
    /** The same for `max_credits`, which nobody can know but by looking. */
    readonly credits: Spread | null;
  };
  readonly violators: {
    readonly total: number;
    readonly asked: number;
    readonly ended: number;
    readonly early: number;
  };
  readonly innocentsTouched: number;
  /** The most cancel requests that one turn got. */
  readonly mostCancelsOfOneSession: number;
  readonly windows: {
    /** From the start on, with the first sight of everything. */
    readonly warmUp: WindowFigures;
    readonly steady: WindowFigures;
    readonly violations: WindowFigures;
    readonly drain: WindowFigures;
  };
  readonly rssPeakBytes: number | null;
  /** Of its Temporal server. */
  readonly serverRssPeakBytes: number | null;
  /** From the start to the last retrieve of the warm-up: by then everything was seen, s. */
  readonly firstSightSeconds: number | null;
  /** Absolute times of the steady window. */
  readonly steady: { readonly fromMs: number; readonly toMs: number };
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
  const { bornAt, controlUrl } = fleet.announced;
  const contestant = await enter(fleet.announced);
  // One that dies has no figures afterwards.
  const peaks = { ours: 0, servers: 0 };
  const snapshot = async (): Promise<Snapshot> => {
    const { requests } = await got(`${controlUrl}/requests`).json<RequestCounts>();
    const { pid, serverPid } = contestant;
    const serverUse = serverPid === null ? null : useOf(serverPid);
    const use = useOf(pid);
    peaks.ours = Math.max(peaks.ours, use?.rssPeakBytes ?? 0);
    peaks.servers = Math.max(peaks.servers, serverUse?.rssPeakBytes ?? 0);
    return {
      atMs: Date.now(),
      requests,
      use,
      serverUse,
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
  const drained = await until('drain', timeline.drainMs);
  const truth = await got(`${controlUrl}/truth`).json<Truth>();

  const live = shape.sessions;
  const { violations, ...judged } = judge(planned, truth);
  const figures: RunFigures = {
    liveSessions: live,
    kinds: countBy(planned.map(({ kind }) => kind)),
    ...judged,
    windows: {
      warmUp: between({ ...first, atMs: bornAt }, warm, live),
      steady: between(warm, steady, live),
      violations: between(steady, violated, live),
      drain: between(violated, drained, live),
    },
    rssPeakBytes: peaks.ours || null,
    serverRssPeakBytes: peaks.servers || null,
    firstSightSeconds: quietAt === null ? null : round((quietAt - bornAt) / 1_000, 0),
    steady: { fromMs: warm.atMs, toMs: steady.atMs },
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
    storedBytesGrowth: to.stored - from.stored,
    loadAverage: to.load,
  };
}

function judge(
  planned: readonly PlannedSession[],
  truth: Truth,
): Pick<RunFigures, 'lagMs' | 'violators' | 'innocentsTouched' | 'mostCancelsOfOneSession'> & {
  readonly violations: readonly Violation[];
} {
  const violations: Violation[] = [];
  const firstCancelAt = new Map<string, number>();
  const cancels = new Map<string, number>();
  for (const { sessionId, at } of truth.cancels) {
    if (!firstCancelAt.has(sessionId)) firstCancelAt.set(sessionId, at);
    cancels.set(sessionId, (cancels.get(sessionId) ?? 0) + 1);
  }
  const lags = { 'over-runtime': [] as number[], 'over-credits': [] as number[] };
  const violators = { total: 0, asked: 0, ended: 0, early: 0 };
  let innocentsTouched = 0;
  for (const { kind, input } of planned) {
    const asked = firstCancelAt.get(input.id);
    if (kind !== 'over-runtime' && kind !== 'over-credits') {
      if (asked !== undefined) innocentsTouched += 1;
      continue;
    }
    violators.total += 1;
    const turn = truth.sessions[input.id]?.turns.at(-1);
    if (turn?.startedAt == null) continue;
    const deadlineAt = deadlineOf(kind, turn.startedAt);
    violations.push({ sessionId: input.id, deadlineAt, askedAt: asked ?? null });
    if (asked === undefined) continue;
    const lag = asked - deadlineAt;
    violators.asked += 1;
    if (lag < 0) violators.early += 1;
    if (turn.endedBy !== null && typeof turn.endedBy === 'object') violators.ended += 1;
    lags[kind].push(lag);
  }
  return {
    lagMs: { runtime: spreadOf(lags['over-runtime']), credits: spreadOf(lags['over-credits']) },
    violators,
    innocentsTouched,
    mostCancelsOfOneSession: Math.max(0, ...cancels.values()),
    violations,
  };
}
