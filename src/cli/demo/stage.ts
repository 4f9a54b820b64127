import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startSimulator, scenario, type Simulator } from '../../../simulator/index.js';
import type { Environment } from '../../platform/config.js';
import { SEARCH_ATTRIBUTES } from '../../core/contract.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { cacheDir, prepareHome } from '../../platform/home.js';
import { openLedger, type Ledger } from '../../adapters/ledger/ledger.js';
import { obtainTemporalCli } from '../../adapters/temporal/binary.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../adapters/temporal/embedded.js';
import type { Output } from '../output.js';
import { BY_HAND_SCENARIO } from './scenes.js';

/** All code is built into the folder of main.js. */
const CLI = fileURLToPath(new URL('./main.js', import.meta.url));
/** A hang limit, ms: a worker is up in about two seconds. */
const WORKER_READY_MS = 60_000;

/** Everything the demo runs on: real processes in a home of their own, and the simulator in this one. */
export interface Stage {
  readonly simulator: Simulator;
  readonly ledger: Ledger;
  /** Starts `curfew worker`, and waits until it is ready. */
  startWorker(): Promise<ChildProcess>;
  /** The one that was started last. */
  worker(): ChildProcess;
  /** Runs a `curfew` command as a person would. @returns its exit code */
  run(args: readonly string[], quiet?: boolean): Promise<number>;
  /** Writes a file where the commands run. */
  write(name: string, text: string): Promise<void>;
  close(): Promise<void>;
}

export async function setStage(env: Environment, out: Output, signal: AbortSignal): Promise<Stage> {
  const onProgress = (text: string): void => out.say(`  ${text}`);
  const binary = await obtainTemporalCli({ env, cacheDir: cacheDir(env), onProgress, signal });
  const home = await mkdtemp(join(tmpdir(), 'curfew-demo-'));
  const closers: (() => Promise<unknown>)[] = [() => rm(home, { recursive: true, force: true, maxRetries: 3 })];
  const children = new Set<ChildProcess>();
  closers.push(() => Promise.all([...children].map(end)));
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    await prepareHome(home);
    const server: EmbeddedServer = await startEmbeddedServer({
      home,
      binary: binary.path,
      env,
      searchAttributes: SEARCH_ATTRIBUTES,
      onProgress,
      signal,
    });
    // Workers die before their server, the home after both.
    closers.splice(1, 0, () => server.stop());
    const simulator = await startSimulator({ scenario: scenario(BY_HAND_SCENARIO) });
    closers.push(() => simulator.close());

    const childEnv = { ...withoutSettings(env), CURFEW_HOME: home, CURFEW_LOG: 'error' } as Record<string, string>;
    // The demo's limits are seconds, not minutes.
    childEnv['CURFEW_SCAN_INTERVAL'] = '2s';
    childEnv['GUMLOOP_BASE_URL'] = simulator.url;
    childEnv['GUMLOOP_API_KEY'] = simulator.apiKey;
    childEnv['GUMLOOP_USER_ID'] = simulator.userId;
    // The folder matters: a .env file where the user stands must not reach the demo.
    const start = (args: readonly string[], stdio: 'pipe' | 'inherit'): ChildProcess => {
      const streams = stdio === 'pipe' ? (['ignore', 'pipe', 'pipe'] as const) : (['ignore', 2, 2] as const);
      const child = spawn(process.execPath, [CLI, ...args], { cwd: home, env: childEnv, stdio: [...streams] });
      children.add(child);
      child.once('exit', () => children.delete(child));
      return child;
    };

    let lastWorker: ChildProcess | null = null;
    const stage: Omit<Stage, 'ledger' | 'write'> = {
      simulator,
      close,
      async startWorker() {
        const worker = start(['worker'], 'pipe');
        await ready(worker);
        lastWorker = worker;
        return worker;
      },
      worker() {
        if (lastWorker === null) throw new Error('The demo has started no worker yet.');
        return lastWorker;
      },
      async run(args, quiet = false) {
        const child = start(args, quiet ? 'pipe' : 'inherit');
        const [code] = (await once(child, 'exit')) as [number | null];
        return code ?? ExitCode.failed;
      },
    };
    const write = (name: string, text: string): Promise<void> => writeFile(join(home, name), text);
    const ledger = await openLedger(join(home, 'ledger.db'));
    closers.push(() => ledger.close());
    return { ...stage, write, ledger };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The user's own key, Temporal and ledger stay out of the demo. */
const withoutSettings = (env: Environment): Environment =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !/^(GUMLOOP|TEMPORAL|CURFEW)_/.test(name)));

async function ready(worker: ChildProcess): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const failed = (why: string): void =>
      reject(
        new UserError(`The demo's worker ${why}: ${said.trim().slice(-500)}`, 'Run `curfew doctor`, then try again.'),
      );
    const timer = setTimeout(() => failed('was not ready in time'), WORKER_READY_MS);
    worker.once('exit', () => failed('ended'));
    worker.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    worker.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (!said.includes('curfew ready')) return;
      clearTimeout(timer);
      worker.removeAllListeners('exit');
      resolve();
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(timer);
}
