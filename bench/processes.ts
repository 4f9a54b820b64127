import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A process that announced itself with one line of JSON on stdout. */
export interface Started<T> {
  readonly pid: number;
  readonly announced: T;
  /** SIGTERM, and SIGKILL when it takes longer than a worker may take to let its requests finish. */
  stop(): Promise<void>;
}

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Where its stderr goes; default: ours. */
  readonly stderr?: number;
}

/** A TypeScript file of this folder. */
export const script = (name: string, ...args: string[]): string[] => [
  '--import',
  'tsx',
  fileURLToPath(new URL(name, import.meta.url)),
  ...args,
];

/** Runs Node with these arguments, and waits for its line. */
export async function start<T>(args: readonly string[], options: StartOptions = {}): Promise<Started<T>> {
  const child = spawn(process.execPath, [...args], {
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['ignore', 'pipe', options.stderr ?? 'inherit'],
  });
  running.add(child);
  void once(child, 'exit').then(() => running.delete(child));
  let said = '';
  const line = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`${args.at(-1) ?? 'A process'} ended with ${code} before it was ready.`)),
    );
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (said.includes('\n')) return;
      said += text;
      const [first, rest] = said.split('\n');
      if (rest !== undefined) resolve(first ?? '');
    });
  });
  const announced = JSON.parse(await line) as T;
  return { pid: child.pid ?? 0, announced, stop: () => stop(child) };
}

/** Ends everything that was started here, for when a run fails. */
export const stopAll = async (): Promise<void> => {
  await Promise.all([...running].map(stop));
};

/** What a benchmark started ends with it. */
export function stopAllOnSignal(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void stopAll().finally(() => process.exit(130)));
  }
}

const running = new Set<ChildProcess>();

const LEAVES_WITHIN_MS = 90_000;

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), LEAVES_WITHIN_MS);
  await gone;
  clearTimeout(timer);
}

/** What a process has used since its start. */
export interface ProcessUse {
  /** Name of the program, at most 15 characters. */
  readonly program: string;
  /** User and system, all threads, s. */
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly rssPeakBytes: number;
}

/** Clock ticks per second in /proc: 100 on every Linux that Node runs on. */
const TICKS = 100;

/** @returns null where there is no /proc (macOS, Windows): then CPU and memory are not measured */
export function useOf(pid: number): ProcessUse | null {
  let stat: string;
  let status: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    status = readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return null;
  }
  // The name of the program comes second, in parentheses, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return {
    program: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
    cpuSeconds: (userTicks + systemTicks) / TICKS,
    rssBytes: kilobytes('VmRSS') * 1_024,
    rssPeakBytes: kilobytes('VmHWM') * 1_024,
  };
}
