import { spawn } from 'node:child_process';
import { closeSync, fstatSync, lstatSync, readSync, renameSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFree, steadyPort } from '../../platform/free-port.js';
import { homePaths } from '../../platform/home.js';
import { openPrivateFile } from '../../platform/private-file.js';
import { childEnvironment } from './run-command.js';
import type { SearchAttributes } from './search-attributes.js';
import { systemUser, userName } from '../../platform/user.js';
import { isServerOf } from './server-note.js';

/** A Temporal server process: a child of ours, or one that a curfew before us left behind. */
export interface ServerProcess {
  readonly pid: number;
  /** Resolves once it is gone, with how it ended. */
  readonly exited: Promise<string>;
  /** The end of what it wrote to its log since it was started; of a crash what came before the stack. */
  logTail(): string;
}

export interface ServerPorts {
  grpc: number;
  /** Null: no web UI. */
  ui: number | null;
}

export const NAMESPACE = 'default';
const HOST = '127.0.0.1';
const LOG_LIMIT_BYTES = 10_000_000;
const TAIL_LINES = 8;
const TAIL_LINE_LENGTH = 300;
/** From the polite signal to the certain one, ms. A server under load took 1.3 s to close its file. */
const STOP_WITHIN_MS = 10_000;
const POLL_MS = 200;

export const grpcAddress = (ports: ServerPorts) => `${HOST}:${ports.grpc}`;
export const uiUrl = (ports: ServerPorts) => (ports.ui === null ? null : `http://${HOST}:${ports.ui}`);

/** Starts the server; it is up when `isAnswering` says so. Returns in the same tick as the process starts. */
export function spawnServer(options: {
  home: string;
  binary: string;
  env: NodeJS.ProcessEnv;
  ports: ServerPorts;
  /** Of its HTTP API: by it one knows that it is this server that answers. */
  httpPort: number;
  /** The one host name that its HTTP API answers to. */
  httpHost: string;
  searchAttributes: SearchAttributes;
}): ServerProcess {
  const { home, binary, env, ports, httpPort, httpHost, searchAttributes } = options;
  const paths = homePaths(home);
  rotateLog(paths.temporalLog);
  const log = openPrivateFile(paths.temporalLog, 'append');
  const logStart = fstatSync(log).size;
  const args = [
    ...['server', 'start-dev', '--db-filename', paths.temporalDb],
    // WAL with NORMAL survives a crash of the process; a power cut may cost the last moments, which the ledger restores.
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'],
    ...['--ip', HOST, '--port', String(ports.grpc), '--http-port', String(httpPort)],
    ...(ports.ui === null ? ['--headless'] : ['--ui-port', String(ports.ui)]),
    ...Object.entries(searchAttributes).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
    // A page in the user's browser reaches loopback ports, also by a name that points there, and may send what this API takes.
    // It can't know this name.
    ...['--dynamic-config-value', `frontend.httpAllowedHosts=${JSON.stringify([httpHost])}`],
    // On the same port, for any host. Curfew has no use for it.
    ...['--dynamic-config-value', 'system.enableNexus=false'],
    // After some crashes of workers in a row a case would stand still for up to 10 min.
    ...['--dynamic-config-value', 'history.workflowTaskRetryMaxInterval="20s"'],
    // The server would ask Temporal's site for newer versions.
    ...['--dynamic-config-value', 'frontend.enableServerVersionCheck=false'],
    ...['--log-level', 'warn', '--color', 'never'],
  ];
  // In a process group of its own: Ctrl-C in the terminal is for us, the server has to outlast the worker.
  const child = withPrivateFiles(() =>
    spawn(binary, args, {
      cwd: home,
      env: serverEnvironment(env, home),
      detached: true,
      windowsHide: true,
      stdio: ['ignore', log, log],
    }),
  );
  closeSync(log);
  child.unref();
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve(`could not be started (${error.code ?? error.message})`),
    );
    child.once('exit', (code, signal) =>
      resolve(signal === null ? `exited with code ${code}` : `was ended by ${signal}`),
    );
  });
  // Without a process id the start failed, and `exited` says why; 0 is nobody's id, and never signalled.
  return { pid: child.pid ?? 0, exited, logTail: () => readTail(paths.temporalLog, logStart) };
}

/** What is started meanwhile makes files for its user alone. The mask is the process's: it is set for this one tick. */
function withPrivateFiles<T>(start: () => T): T {
  const before = process.umask(0o077);
  try {
    return start();
  } finally {
    process.umask(before);
  }
}

/** The server asks who it runs as, and does not start without an answer: for a user who is a mere number we give one. */
function serverEnvironment(env: NodeJS.ProcessEnv, home: string): NodeJS.ProcessEnv {
  const forServer = childEnvironment(env);
  if (systemUser() !== null) return forServer;
  return { ...forServer, USER: forServer['USER'] || userName(), HOME: forServer['HOME'] || home };
}

/** Takes a server that runs already as if it were a child of ours. */
export function adoptServer(home: string, pid: number): ServerProcess {
  const { temporalLog } = homePaths(home);
  const exited = new Promise<string>((resolve) => {
    const timer = setInterval(() => {
      if (isServerOf(home, pid)) return;
      clearInterval(timer);
      resolve('is gone');
    }, POLL_MS);
    timer.unref();
  });
  return { pid, exited, logTail: () => readTail(temporalLog, 0) };
}

/** Ends the server: asks, waits up to 10 s, then insists. */
export async function stopServer(server: ServerProcess): Promise<void> {
  if (server.pid === 0) return;
  send(server.pid, 'SIGTERM');
  if (await within(server.exited, STOP_WITHIN_MS)) return;
  send(server.pid, 'SIGKILL');
  await within(server.exited, STOP_WITHIN_MS);
}

/** Ports for a new server: the wanted ones when they are free, otherwise any that are. */
export async function choosePorts(wanted: readonly ServerPorts[], ui: boolean): Promise<ServerPorts> {
  const choose = async (candidates: readonly number[], taken?: number): Promise<number> => {
    for (const port of candidates) if (port !== taken && (await isFree(port))) return port;
    const port = await steadyPort();
    return port === taken ? choose([], taken) : port;
  };
  const grpc = await choose(wanted.map((ports) => ports.grpc));
  if (!ui) return { grpc, ui: null };
  const wantedForUi = wanted.flatMap((ports) => ports.ui ?? []);
  return { grpc, ui: await choose(wantedForUi, grpc) };
}

/** The server appends for as long as it runs; one old log is kept. */
function rotateLog(path: string): void {
  try {
    if (lstatSync(path).size > LOG_LIMIT_BYTES) renameSync(path, `${path}.1`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function readTail(path: string, from: number): string {
  const file = openPrivateFile(path, 'read');
  try {
    const { size } = fstatSync(file);
    const start = Math.max(from, size - 64_000);
    const buffer = Buffer.alloc(Math.max(0, size - start));
    readSync(file, buffer, 0, buffer.length, start);
    const lines = buffer
      .toString('utf8')
      .split('\n')
      .filter((line) => line.trim() !== '');
    // A Go program that crashes says why first, and then fills pages with its stack.
    const stack = lines.findIndex((line) => /^goroutine \d+ \[/.test(line));
    return lines
      .slice(0, stack === -1 ? lines.length : stack)
      .slice(-TAIL_LINES)
      .map(shorten)
      .join('\n');
  } finally {
    closeSync(file);
  }
}

/** Go wraps an error in another one, and that in the next: the cause stands at the end. */
function shorten(line: string): string {
  if (line.length <= TAIL_LINE_LENGTH) return line;
  const half = TAIL_LINE_LENGTH / 2;
  return `${line.slice(0, half)} … ${line.slice(-half)}`;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** @returns whether the promise settled in time */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const timeout = sleep(ms, false, { signal: timer.signal }).catch(() => false);
  const settled = await Promise.race([promise.then(() => true), timeout]);
  timer.abort();
  return settled;
}
