import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'dotenv';
import { temporalBinary } from './embedded-server.js';
import type { Settings } from './curfew-process.js';

const SCRIPT = fileURLToPath(new URL('../../deploy/cluster.sh', import.meta.url));

/** A Temporal server on PostgreSQL, as in production, in a temporary folder; it ends with the process that started it. */
export interface TestCluster {
  /** Data, secrets, logs, and `status` for `deploy/cluster.sh`. */
  readonly folder: string;
  /** TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and CURFEW_DATABASE_URL, for `curfew` processes. */
  readonly settings: Settings;
  /** SIGKILL. Returns when the process is gone. */
  killServer(): Promise<void>;
  /** Returns when the server is healthy. */
  startServer(): Promise<void>;
  /** Down and up again, `immediate` as after a crash. Returns when it takes connections. */
  restartPostgres(mode: 'fast' | 'immediate'): Promise<void>;
  /** Stops all and removes the folder. */
  stop(): Promise<void>;
}

/**
 * Holds the cluster and takes it down when its own standard input ends. So it also goes when we are killed, which no exit
 * handler would see.
 */
const HOLD = 'cat >/dev/null; exec "$@"';

/**
 * Starts `deploy/cluster.sh up`: some seconds; where Temporal's binaries must be built first, many minutes.
 *
 * @throws {Error} with what the script said, when the cluster does not come up
 */
export async function startCluster(): Promise<TestCluster> {
  const env = { ...process.env, TEMPORAL_CLI_PATH: await temporalBinary() };
  const folder = mkdtempSync(join(tmpdir(), 'curfew-cluster-'));
  const run = async (command: string, ...more: string[]): Promise<void> => {
    await promisify(execFile)(SCRIPT, [command, folder, ...more], { env });
  };
  const holder = spawn('/bin/sh', ['-c', HOLD, 'sh', SCRIPT, 'down', folder, '--delete'], {
    env,
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  const stop = async (): Promise<void> => {
    if (holder.exitCode !== null) return;
    const exited = once(holder, 'exit');
    holder.stdin.end();
    await exited;
    // What did not come up far enough to be taken down.
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await run('up');
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    folder,
    settings: parse(readFileSync(join(folder, 'cluster.env'), 'utf8')),
    killServer: () => run('kill-server'),
    startServer: () => run('start-server'),
    restartPostgres: (mode) => run('restart-postgres', ...(mode === 'immediate' ? ['--kill'] : [])),
    stop,
  };
}
