import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { enterCurfew, type CurfewContestant } from './curfew.js';
import { POLICY_FILE, type FleetShape } from './fleet.js';
import { megabytes } from './figures.js';
import { watchHeap, type HeapWatch } from './heap.js';
import { stopAll, stopAllOnSignal, useOf } from './processes.js';
import { linesIn } from './log-lines.js';
import { watchRun, type Timeline } from './watched-run.js';

/**
 * A worker with a small heap under the worst vendor that keeps within the sizes which Curfew takes: does it live, and does it end
 * violators and nobody else?
 */
const USAGE = `Usage: npx tsx bench/small-heap.ts [options]      (after \`npm run build\`)
  --minutes N    turns cross their limits for so long       (10)
  --sessions N   live sessions                              (1000)
  --agents N     agents that they are spread over           (10)
  --heap-mb N    --max-old-space-size of the worker         (256)
  --warm-up S    time to get to know the fleet, s           (120)`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    sessions: { type: 'string', default: '1000' },
    agents: { type: 'string', default: '10' },
    'heap-mb': { type: 'string', default: '256' },
    'warm-up': { type: 'string', default: '120' },
    help: { type: 'boolean', default: false },
  },
});
/** Cases under way when the last turn crosses its limit come to their end, ms. */
const DRAIN_MS = 120_000;
/** Of the sessions cross `max_runtime`; one in a hundred crosses `max_credits`. */
const VIOLATORS = 0.3;
/** Ids are as long as they may be; their beginnings differ. */
const SHOWN_OF_ID = 12;

async function measure(sessions: number, agents: number, minutes: number, heapMb: number, warmUpMs: number) {
  const violationsMs = minutes * 60_000;
  const fromMs = warmUpMs;
  const shape: FleetShape = {
    ...{ sessions, agents, worst: true },
    violators: {
      runtime: Math.max(1, Math.floor(VIOLATORS * sessions)),
      credits: Math.max(1, Math.round(0.01 * sessions)),
      ...{ fromMs, toMs: fromMs + violationsMs },
    },
  };
  const timeline: Timeline = { warmUpMs, steadyMs: 0, violationsMs, drainMs: DRAIN_MS };
  const folder = await mkdtemp(join(tmpdir(), 'curfew-bench-'));
  const over = new AbortController();
  let heap: Promise<HeapWatch> | undefined;
  let worker: CurfewContestant | undefined;
  let lived = false;
  let notAsked: readonly { readonly session: string; readonly overForSeconds: number }[] = [];
  let metrics: HeapWatch | undefined;
  const figures = await watchRun(
    shape,
    timeline,
    async (fleet) => {
      worker = await enterCurfew(fleet, POLICY_FILE, folder, {
        requestsPerSecond: 50,
        settings: {
          NODE_OPTIONS: `--max-old-space-size=${heapMb}`,
          CURFEW_HTTP_ADDRESS: '127.0.0.1:0',
          CURFEW_LOG: 'info',
        },
      });
      if (worker.http !== null) heap = watchHeap(worker.http, over.signal);
      return worker;
    },
    (text) => console.error(text),
    async ({ pid }, _figures, violations) => {
      lived = useOf(pid) !== null;
      notAsked = violations
        .filter(({ askedAt }) => askedAt === null)
        .map(({ sessionId, deadlineAt }) => ({
          session: sessionId.slice(0, SHOWN_OF_ID),
          overForSeconds: Math.round((Date.now() - deadlineAt) / 1_000),
        }));
      over.abort();
      metrics = await heap;
    },
  );
  const log = linesIn(await readFile(worker?.logFile ?? '', 'utf8'));
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  const { violators, innocentsTouched, lagMs, windows } = figures;
  return {
    settings: { ...shape, heapMb, timeline },
    workerLived: lived,
    peakRssMb: megabytes(figures.rssPeakBytes),
    peakHeapUsedMb: megabytes(metrics?.peakUsedBytes ?? null),
    peakExternalMb: megabytes(metrics?.peakExternalBytes ?? null),
    peakServerRssMb: megabytes(figures.serverRssPeakBytes),
    violators: violators.total,
    asked: violators.asked,
    ended: violators.ended,
    notAsked,
    wrongEnds: innocentsTouched + violators.early,
    mostCancelsOfOneSession: figures.mostCancelsOfOneSession,
    lagMs,
    workerCpuSecondsPerMinute: windows.violations.cpuSecondsPerMinute,
    logLines: log,
  };
}

if (values.help) console.log(USAGE);
else {
  const [minutes, sessions, agents, heapMb, warmUp] = (
    ['minutes', 'sessions', 'agents', 'heap-mb', 'warm-up'] as const
  ).map((name) => Number(values[name]));
  if (![minutes, sessions, agents, heapMb, warmUp].every((value) => value !== undefined && value > 0)) {
    console.error(USAGE);
    process.exitCode = 2;
  } else {
    stopAllOnSignal();
    try {
      const loadBefore = loadavg()[0];
      const result = await measure(sessions ?? 0, agents ?? 0, minutes ?? 0, heapMb ?? 0, (warmUp ?? 0) * 1_000);
      const machine = { node: process.version, cpus: cpus().length, load: { before: loadBefore, after: loadavg()[0] } };
      console.log(JSON.stringify({ bench: 'small-heap', at: new Date().toISOString(), machine, ...result }, null, 2));
      if (result.wrongEnds > 0 || !result.workerLived) process.exitCode = 1;
    } finally {
      await stopAll();
    }
  }
}
