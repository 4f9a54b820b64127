import { join } from 'node:path';
import type { OnProgress } from './progress.js';
import { childEnvironment, runCommand } from './run-command.js';

/**
 * The newest tag of the Temporal CLI that `go install` accepts: later ones have a `replace` line in their go.mod, which
 * Go refuses (github.com/temporalio/cli, issue 213). It carries server 1.29.1.
 */
export const GO_INSTALL_VERSION = '1.5.1';
const MODULE = `github.com/temporalio/cli/cmd/temporal@v${GO_INSTALL_VERSION}`;
/** Go's own look-up of users, not that of C: the server then starts for one who is a mere number, given USER and HOME. */
const PORTABLE = ['-tags', 'osusergo'];
const PROGRESS_EVERY_MS = 2_000;

/**
 * Builds the Temporal CLI from source: about five minutes and 1 GB of module cache the first time.
 *
 * @param directory - where the binary is to lie
 * @returns the path of the binary
 * @throws {Error} with the short reason
 */
export async function goInstallTemporalCli(
  directory: string,
  { env, onProgress, signal }: { env: NodeJS.ProcessEnv; onProgress: OnProgress; signal?: AbortSignal },
): Promise<string> {
  const began = performance.now();
  let now = 'compiling';
  let compiled = 0;
  const report = () => {
    const seconds = Math.round((performance.now() - began) / 1000);
    onProgress(`building the Temporal server with Go (once, some minutes): ${seconds} s, ${now}`);
  };
  const timer = setInterval(report, PROGRESS_EVERY_MS);
  report();
  try {
    const result = await runCommand('go', ['install', '-v', ...PORTABLE, MODULE], {
      env: { ...childEnvironment(env), GOBIN: directory },
      signal,
      onLine: (line) => {
        const download = /^go: downloading (\S+)/.exec(line)?.[1];
        if (download !== undefined) now = `downloading ${download}`;
        else if (/^[\w.-]+(\/\S+)*$/.test(line)) now = `${++compiled} packages compiled, last ${line}`;
      },
    });
    if (result.code === 0) return join(directory, process.platform === 'win32' ? 'temporal.exe' : 'temporal');
    throw new Error(result.reason === 'no such file' ? '`go` is not on PATH' : result.reason);
  } finally {
    clearInterval(timer);
  }
}
