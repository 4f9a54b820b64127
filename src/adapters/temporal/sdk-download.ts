import { createRequire } from 'node:module';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OnProgress } from './progress.js';
import { childEnvironment, runCommand } from './run-command.js';

/** A download that stalls must not keep one waiting for ever, ms. */
const TIMEOUT_MS = 5 * 60_000;

/**
 * Has the SDK download the Temporal CLI that fits its version, as its test package does.
 *
 * The SDK downloads only as a part of starting a server, inside its native runtime. That runtime can be configured
 * once per process (telemetry), so all of this happens in a process of its own, which can also be stopped half-way.
 * `createEphemeralServer` is how `@temporalio/testing` does it too; that package is for tests and is not shipped.
 */
const DOWNLOADER = `
const [runtimeModule, downloadDir] = process.argv.slice(1);
const { Runtime } = require(runtimeModule);
const { version } = require(runtimeModule + '/package.json');
const exe = { type: 'cached-download', downloadDir, version: 'default', ttl: 0x7fffffff,
  sdkName: 'sdk-typescript', sdkVersion: version };
(async () => {
  const runtime = Runtime.instance();
  const server = await runtime.createEphemeralServer({ type: 'dev-server', exe, ip: '127.0.0.1', port: null, ui: false,
    uiPort: null, namespace: 'default', dbFilename: null, log: { format: 'json', level: 'error' }, extraArgs: [] });
  await runtime.shutdownEphemeralServer(server);
})().catch((error) => { console.error(String(error.message).split('\\n')[0]); process.exitCode = 1; });
`;

/**
 * @param directory - an empty folder, for this download alone
 * @returns the path of the downloaded binary
 * @throws {Error} with the short reason; at once when there is no network
 */
export async function downloadTemporalCli(
  directory: string,
  { env, onProgress, signal }: { env: NodeJS.ProcessEnv; onProgress: OnProgress; signal?: AbortSignal },
): Promise<string> {
  onProgress('downloading the Temporal CLI');
  const worker = createRequire(import.meta.url).resolve('@temporalio/worker/package.json');
  const result = await runCommand(process.execPath, ['-e', DOWNLOADER, join(worker, '..'), directory], {
    env: childEnvironment(env),
    signal,
    timeoutMs: TIMEOUT_MS,
  });
  // The file counts, not the exit code: a slow machine may fail to start the server within the SDK's 5 s.
  const file = (await readdir(directory)).find((name) => name.startsWith('temporal') && !name.endsWith('.downloading'));
  if (file === undefined) throw new Error(shortReason(result.reason));
  return join(directory, file);
}

/** The SDK repeats the URL with all its parameters at each level; the last part says what went wrong. */
function shortReason(reason: string): string {
  const host = /https?:\/\/([^/?\s)]+)/.exec(reason)?.[1];
  const cause = reason.split(/\): /).at(-1) ?? reason;
  return host === undefined || cause === reason ? reason : `${host}: ${cause}`;
}
