import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { temporalBinary } from './embedded-server.js';
import { runLoaded, runsCommands } from './shared.js';

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
const NOT_BUILT = 'Curfew is not built: run `npm run build` before these tests.';
/** A hang limit for commands that answer and go, ms. */
const ANSWER_LIMIT_MS = 240_000;

export type Settings = Readonly<Record<string, string>>;

/** How a command ended, and all that it wrote. */
export interface Ended {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `curfew` command as a process of its own. */
export interface CurfewProcess {
  readonly pid: number;
  /** What it has written so far. */
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<Ended>;
  signal(name: NodeJS.Signals): void;
  /** Waits for text on stderr. @throws when the process ends without it */
  says(text: string): Promise<void>;
}

/** What `curfew up --json` prints when it is ready. */
export interface Ready {
  readonly ready: true;
  readonly pid: number;
  readonly home: string;
  readonly ledger: string;
  readonly temporal: { readonly address: string; readonly started: string };
}

/**
 * Settings for commands in a home of their own: nothing of the machine's own settings reaches them.
 *
 * @param folder - holds the home (`home`) and stands for the user's own folder
 */
export async function settingsFor(folder: string, more: Settings = {}): Promise<Settings> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    CURFEW_HOME: `${folder}/home`,
    TEMPORAL_CLI_PATH: await temporalBinary(),
    ...more,
  };
}

/** Starts the built command (`npm run build`). The folder it stands in is `HOME`, so that no `.env` is found by chance. */
export function startCurfew(
  args: readonly string[],
  settings: Settings,
  folder = settings['HOME'] ?? '/',
): CurfewProcess {
  if (!existsSync(MAIN)) throw new Error(NOT_BUILT);
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...settings },
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.set(child, settings['CURFEW_HOME']);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      running.delete(child);
      resolve({ code, stdout, stderr });
    });
  });
  let over = false;
  void ended.finally(() => (over = true)).catch(() => {});
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    signal: (name) => void child.kill(name),
    says: async (text) => {
      while (!stderr.includes(text)) {
        if (over) throw new Error(`curfew ${args.join(' ')} ended without saying "${text}":\n${stderr}`);
        await pause(20);
      }
    },
  };
}

/** They do not just answer and go, or use what can be had once in a process. */
const ALONE: ReadonlySet<string | undefined> = new Set(['up', 'worker', 'demo', 'simulate', 'codec-server']);
/** Node.js reads them once, when it starts. */
const READ_AT_START = /^(NODE_|SSL_|LC_|TZ$)/;

/** Runs a command to its end, in a process that is used for others, too: most of a second of each is for loading. */
export async function runCurfew(
  args: readonly string[],
  settings: Settings,
  folder = settings['HOME'] ?? '/',
): Promise<Ended> {
  const alone = ALONE.has(args[0]) || Object.keys(settings).some((name) => READ_AT_START.test(name));
  if (alone || !runsCommands()) return runCurfewAlone(args, settings, folder);
  if (!existsSync(MAIN)) throw new Error(NOT_BUILT);
  return runLoaded<Ended>({ args, settings, folder }, ANSWER_LIMIT_MS);
}

/** The same in a process of its own, which also shows that nothing keeps it from ending. */
export async function runCurfewAlone(args: readonly string[], settings: Settings, folder?: string): Promise<Ended> {
  const command = startCurfew(args, settings, folder);
  const timer = setTimeout(() => command.signal('SIGKILL'), ANSWER_LIMIT_MS);
  try {
    return await command.ended;
  } finally {
    clearTimeout(timer);
  }
}

/** Starts `curfew up`, or another command that announces itself so, and waits until it is ready. */
export async function startReady(
  args: readonly string[],
  settings: Settings,
): Promise<{ process: CurfewProcess; ready: Ready }> {
  const process = startCurfew([...args, '--json'], settings);
  let ended: Ended | undefined;
  void process.ended.then((end) => (ended = end)).catch(() => {});
  for (;;) {
    const [line = '', ...more] = process.stdout().split('\n');
    // A failure prints a line, too, and then ends.
    const document = more.length === 0 ? undefined : (JSON.parse(line) as Partial<Ready>);
    if (document?.ready === true) return { process, ready: document as Ready };
    if (ended !== undefined) throw new Error(`curfew ${args.join(' ')} ended with ${ended.code}:\n${ended.stderr}`);
    await pause(20);
  }
}

/**
 * Ends, by their process ids, the commands that tests have left running.
 *
 * @param of - settings that they were started with; without: all
 */
export async function stopEverything(of?: Settings): Promise<void> {
  const home = of?.['CURFEW_HOME'];
  const left = [...running].filter(([, its]) => home === undefined || its === home).map(([child]) => child);
  await Promise.all(
    left.map(async (child) => {
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    }),
  );
}

/** With the home of each. */
const running = new Map<ChildProcess, string | undefined>();
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
