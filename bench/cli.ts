/**
 * How long commands take that need no vendor: `npx tsx bench/cli.ts` after `npm run build`. Each is run several times in a fresh
 * home whose ledger has some rows, in turn with `node -e 0`; what counts is the ratio of the two medians, which says nearly the
 * same on any machine.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readPolicyFile } from '../src/core/policy-file/index.js';
import { openLedger } from '../src/adapters/ledger/ledger.js';
import { planIn, sessionIds } from '../test/support/bulk-plans.js';
import { round } from './figures.js';

const MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
const PLAN = 'b-2345678';
const POLICY = `version: 1
policies:
  - name: night
    match: { agents: [support-*] }
    limits: { max_runtime: 1h, max_session_credits: 5000 }
    mode: enforce
`;
/** 240 and 300 ms where `node -e 0` takes 80. */
const GOALS = { words: 3, command: 3.75 };

const COMMANDS: readonly (readonly [command: string, goal: number, exitCode?: number])[] = [
  ['--version', GOALS.words],
  ['--help', GOALS.words],
  ['bulk --help', GOALS.words],
  ['pause --reason bench', GOALS.command],
  ['resume', GOALS.command],
  [`bulk pause ${PLAN}`, GOALS.command],
  ['bulk status', GOALS.command],
  [`bulk status ${PLAN}`, GOALS.command],
  [`bulk report ${PLAN}`, GOALS.command],
  ['status', GOALS.command],
  ['history', GOALS.command],
  ['cases', GOALS.command],
  ['cases sess_1', GOALS.command],
  ['explain sess_1', GOALS.command, 4],
  ['exempt sess_2 --for 1h --reason bench', GOALS.command],
  ['policy check policy.yaml', GOALS.command],
  ['policy apply policy.yaml --yes', GOALS.command],
];

const { values } = parseArgs({
  options: {
    /** Of each command. */
    runs: { type: 'string', default: '7' },
    main: { type: 'string', default: MAIN },
  },
});
const runs = Number(values.runs);
/** Without settings of a Curfew of this machine. */
const bare = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(CURFEW|GUMLOOP|TEMPORAL|PG)/.test(name)),
);

const folder = mkdtempSync(join(tmpdir(), 'curfew-bench-cli-'));
try {
  await fill();
  const results = COMMANDS.map(([command, goal, exitCode = 0]) => {
    const [node, curfew]: [number[], number[]] = [[], []];
    for (let run = 0; run < runs; run += 1) {
      node.push(timed(['-e', '0'], 0));
      curfew.push(timed([values.main, ...command.split(' ')], exitCode));
    }
    const [nodeMs, medianMs] = [median(node), median(curfew)];
    const ratio = round(medianMs / nodeMs);
    process.stderr.write(`${command.padEnd(40)} ${Math.round(medianMs)} ms, ${ratio} times node -e 0\n`);
    return { command, nodeMs: round(nodeMs, 0), medianMs: round(medianMs, 0), ratio, goal, met: ratio <= goal };
  });
  const machine = { node: process.version, loadAverage: round(loadavg()[0] ?? 0), runs };
  process.stdout.write(`${JSON.stringify({ ...machine, results }, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function fill(): Promise<void> {
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  const ledger = await openLedger(join(folder, 'ledger.db'));
  const { file } = readPolicyFile(POLICY, 'policy.yaml');
  await ledger.policies.apply({ file, fileName: 'policy.yaml', sourceText: POLICY, by: 'bench' });
  for (const sessionId of sessionIds(40)) {
    await ledger.orders.create({
      ...{ sessionId, source: 'person', requestedBy: 'bench', evenIfExempt: false, turnKey: null },
      reason: { text: 'bench', policy: null, policyVersion: null, limit: null, observed: null },
    });
  }
  await planIn(ledger, PLAN, sessionIds(400, 'bulk'));
  await ledger.bulk.apply(PLAN, { by: 'bench', rate: 10, canary: 5, fast: false, evenIfExempt: false });
  await ledger.close();
}

/** One run to its end, ms. @throws when it ends otherwise than it should */
function timed(args: readonly string[], exitCode: number): number {
  const beganMs = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    // As in the shell that runs the bench: NODE_EXTRA_CA_CERTS alone, where it is set, costs either 30 ms.
    env: { ...bare, HOME: folder, CURFEW_HOME: folder },
    encoding: 'utf8',
  });
  const tookMs = performance.now() - beganMs;
  if (status !== exitCode) throw new Error(`${args.join(' ')} ended with ${status}:\n${stderr}`);
  return tookMs;
}

function median(all: readonly number[]): number {
  const sorted = all.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
