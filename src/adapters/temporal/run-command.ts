import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How a command ended. */
export interface CommandResult {
  /** Exit code; null when a signal ended it or it could not be started. */
  code: number | null;
  stdout: string;
  /** Last lines of stderr, or why the command could not be started or was ended. */
  reason: string;
}

/** Enough of a command's output to read a version, a help text or the reason of a failure. */
const KEPT_CHARACTERS = 20_000;
/** From the polite signal to the certain one, ms. */
const KILL_AFTER_MS = 5_000;

/**
 * Runs a command to its end. Does not throw for a command that fails or is missing: that is an answer.
 *
 * @param options.timeoutMs - after it the command is ended; none by default
 * @param options.onLine - gets each line of stderr as it comes
 * @throws the reason of `signal`, after the command was ended by its process id
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: {
    env: NodeJS.ProcessEnv;
    signal?: AbortSignal | undefined;
    timeoutMs?: number;
    onLine?: (line: string) => void;
  },
): Promise<CommandResult> {
  const { env, signal, timeoutMs, onLine } = options;
  signal?.throwIfAborted();
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true });
  let stdout = '';
  let stderr = '';
  let timedOut = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout = (stdout + text).slice(-KEPT_CHARACTERS)));
  createInterface({ input: child.stderr }).on('line', (line) => {
    stderr = `${stderr}${line}\n`.slice(-KEPT_CHARACTERS);
    onLine?.(line);
  });

  let killTimer: NodeJS.Timeout | undefined;
  const end = () => {
    // SIGINT first: `go` then stops its compilers, which SIGKILL would leave behind.
    child.kill('SIGINT');
    killTimer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  };
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          end();
        }, timeoutMs);
  signal?.addEventListener('abort', end, { once: true });
  try {
    const { code, startError } = await new Promise<{ code: number | null; startError?: Error }>((resolve) => {
      child.once('error', (startError) => resolve({ code: null, startError }));
      child.once('close', (code) => resolve({ code }));
    });
    signal?.throwIfAborted();
    if (startError) return { code: null, stdout, reason: startReason(startError) };
    if (timedOut) return { code: null, stdout, reason: `no answer within ${(timeoutMs ?? 0) / 1000} s` };
    return { code, stdout, reason: lastLines(stderr) || `exit code ${code}` };
  } finally {
    clearTimeout(timer);
    clearTimeout(killTimer);
    signal?.removeEventListener('abort', end);
  }
}

/**
 * What our child processes get: everything but our own settings and those of the database and of tracing, which hold keys
 * that are none of their business.
 */
export function childEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const ours = /^((GUMLOOP|CURFEW|TEMPORAL|OTEL)_|PGPASS)/i;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !ours.test(name)));
}

function startReason(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return 'no such file';
  if (error.code === 'EACCES') return 'not executable';
  return error.code ?? error.message;
}

function lastLines(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-2).join(' / ').slice(0, 1_000);
}
