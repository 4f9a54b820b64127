import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { payloadEncryption } from '../../adapters/codec/encryption.js';
import type { Config } from '../../platform/config.js';
import { SEARCH_ATTRIBUTES } from '../../core/contract.js';
import { cacheDir, prepareHome } from '../../platform/home.js';
import type { Logger } from '../../platform/telemetry.js';
import { homeTrust, refuseUntrustedHome, tightenHomeFiles } from '../../platform/home-trust.js';
import { createCredentials, createSessionsClient } from '../../adapters/vendor/index.js';
import { serveSdkMetrics } from '../../worker/metrics/sdk-metrics.js';
import type { RunningService } from '../../worker/service.js';
import { resolveTemporal, type TemporalTarget } from '../../adapters/temporal/connection.js';
import type { EmbeddedServer } from '../../adapters/temporal/embedded.js';
import { USER_AGENT } from '../../platform/version.js';
import type { PolicyApplication } from '../../adapters/ledger/policy-versions.js';
import { serviceLog } from '../command-log.js';
import { contextOf, withLedger, type CommandContext } from '../context.js';
import { tellRoutes } from '../route-lines.js';
import { policiesDocument, policiesWords } from '../in-force-words.js';
import { sayWarnings } from '../policy-words.js';
import { readPolicySource, type PolicySource } from '../policy-source.js';
import { INTERRUPTED, onInterrupt, WORKER_LEAVES_WITHIN_MS } from '../interrupt.js';
import { startTracing } from '../../platform/tracing/index.js';
import { asOption } from '../requester.js';

interface ServiceContext extends CommandContext {
  readonly log: Logger;
}

interface ServiceCommandOptions {
  readonly adoptTemporal?: boolean;
}

interface UpOptions extends ServiceCommandOptions {
  readonly ui?: boolean;
}

interface ServeOptions extends ServiceCommandOptions {
  readonly apply?: PolicyApplication | undefined;
}

export function registerUp(program: Command): void {
  commandNamed(program, 'up')
    .description(
      'Starts Curfew in the foreground: its own Temporal server if none is configured (TEMPORAL_ADDRESS or a profile), and a worker that enforces the policies in force. With a file, first puts that file in force. Prints `curfew ready` when it is ready for orders.',
    )
    .argument('[file]', 'policy file to put in force; without it, nothing changes')
    .option('--ui', 'start Temporal’s web UI too')
    .option('--adopt-temporal', 'take over a ledger that belonged to another Temporal')
    .addOption(asOption())
    .addHelpText(
      'after',
      `
Examples:
  $ GUMLOOP_API_KEY=… GUMLOOP_USER_ID=… curfew up curfew.yaml
  $ curfew cancel sess_xYz789AbCd --wait      (in another terminal, from any folder)

State is in the home folder (CURFEW_HOME); \`curfew doctor\` shows where. Without a configured Temporal, the first start gets
the Temporal CLI: TEMPORAL_CLI_PATH, PATH, Curfew's cache, a download, or \`go install\` (a few minutes, once).
The UI has no password: any program on this machine, your browser included, can start and end workflows with it. Turn it off when you are done.
Ctrl-C stops; open cases continue with the next start.`,
    )
    .action(async (file: string | undefined, { ui = false, ...options }: UpOptions, command: Command) => {
      // A file with problems is told before anything is started.
      const source = file === undefined ? undefined : await readPolicySource(file);
      await untilInterrupted(command, async (context, signal) => {
        const apply = file === undefined || source === undefined ? undefined : applicationOf(file, source, context.by);
        sayWarnings(context.out, source?.warnings ?? []);
        const own = await ensureTemporal(context, ui, signal);
        try {
          await serve(
            context,
            own?.target ?? resolveTemporal(context.config),
            { ...options, apply },
            signal,
            own?.server,
          );
        } finally {
          await own?.server.stop();
        }
      });
    });

  commandNamed(program, 'worker')
    .description(
      'Starts a worker in the foreground, for the configured Temporal or the one that `curfew up` runs here.',
    )
    .option('--adopt-temporal', 'take over a ledger that belonged to another Temporal')
    .addHelpText(
      'after',
      '\nExample:\n  $ TEMPORAL_ADDRESS=temporal:7233 CURFEW_DATABASE_URL=postgres://… curfew worker',
    )
    .action(async (options: ServiceCommandOptions, command: Command) => {
      await untilInterrupted(command, (context, signal) =>
        serve(context, resolveTemporal(context.config), options, signal, undefined),
      );
    });
}

const applicationOf = (fileName: string, { file, text }: PolicySource, by: string): PolicyApplication => ({
  file,
  fileName,
  sourceText: text,
  by,
});

/** Runs in the foreground. Ctrl-C before it is ready is no failure of the parts that were being waited for. */
async function untilInterrupted(
  command: Command,
  work: (context: ServiceContext, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const settings = contextOf(command);
  const log = serviceLog(settings.config);
  const context = { ...settings, log };
  process.once('exit', log.close);
  const { signal } = onInterrupt(WORKER_LEAVES_WITHIN_MS);
  await requireVendorSettings(context.config);
  const tracing = await startTracing(context.config.env, context.log);
  try {
    await work(context, signal);
  } catch (error) {
    if (!(signal.aborted && error instanceof Error && error.name === 'AbortError')) throw error;
    context.out.say('Stopped before it was ready.');
    process.exitCode = INTERRUPTED;
  } finally {
    await tracing?.shutdown();
    log.close();
  }
}

/** What can't get better by waiting is told before anything is started. A refused key may work later, so that only warns. */
async function requireVendorSettings(config: Config): Promise<void> {
  const credentials = createCredentials(config.env);
  await credentials.headers();
  createSessionsClient({ baseUrl: config.apiBaseUrl, credentials, userAgent: USER_AGENT }).close();
}

/** @returns null when a Temporal is configured, and so none is needed */
async function ensureTemporal(
  { config, out, log }: ServiceContext,
  ui: boolean,
  signal: AbortSignal,
): Promise<{ server: EmbeddedServer; target: TemporalTarget } | null> {
  await prepareHome(config.home);
  refuseUntrustedHome(config.home);
  tightenHomeFiles(config.home);
  const { warning } = homeTrust(config.home);
  if (warning !== null) log.warn(`${warning.says} ${warning.next}`);
  if (resolveTemporal(config).kind === 'configured') {
    if (ui) out.say('--ui has no effect: a Temporal is configured, so none is started here.');
    return null;
  }
  const { obtainTemporalCli } = await import('../../adapters/temporal/binary.js');
  const { startEmbeddedServer } = await import('../../adapters/temporal/embedded.js');
  const onProgress = (text: string): void => out.say(text);
  const binary = await obtainTemporalCli({ env: config.env, cacheDir: cacheDir(config.env), onProgress, signal });
  const server = await startEmbeddedServer({
    home: config.home,
    binary: binary.path,
    env: config.env,
    onProgress,
    logger: log,
    searchAttributes: SEARCH_ATTRIBUTES,
    ui,
  });
  if (ui && server.uiUrl === null) {
    out.say('No UI: another `curfew up` started this home’s Temporal server without one. Stop that one first.');
  }
  const { address, namespace, uiUrl } = server;
  return { server, target: { kind: 'embedded', address, namespace, uiUrl, encryption: payloadEncryption(config.env) } };
}

/** Runs a worker until it is told to stop. */
async function serve(
  { config, out, log }: ServiceContext,
  target: TemporalTarget,
  options: ServeOptions,
  signal: AbortSignal,
  server: EmbeddedServer | undefined,
): Promise<void> {
  // Loaded here, because the worker's native core takes its time, and `curfew --help` should not.
  const { installRuntime } = await import('../../worker/worker.js');
  const { startService } = await import('../../worker/service.js');
  const install = (metricsAddress?: string): void => installRuntime(log, config.logLevel, metricsAddress);
  const sdkMetrics = config.httpAddress === null ? install() : await serveSdkMetrics(install);
  const service = await startService(config, target, log, {
    adoptTemporal: options.adoptTemporal === true,
    signal,
    ...(options.apply === undefined ? {} : { apply: options.apply }),
    ...(sdkMetrics === undefined ? {} : { sdkMetrics }),
  });
  announce(out, config, target, service, server);
  void withLedger(config, (ledger) => tellRoutes(ledger, out)).catch(() => {});
  const stop = (): void => {
    out.say('Stopping: requests under way get 20 s to finish. Open cases continue when Curfew runs again.');
    service.stop();
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  await service.stopped;
}

function announce(
  out: CommandContext['out'],
  config: CommandContext['config'],
  target: TemporalTarget,
  service: RunningService,
  server: EmbeddedServer | undefined,
): void {
  const address = target.kind === 'none' ? null : target.address;
  const where = target.kind === 'configured' ? target.describe.replace(/^Temporal at /, '') : address;
  const uiUrl = target.kind === 'embedded' ? target.uiUrl : null;
  const started = server === undefined ? 'configured' : server.started ? 'started here' : 'was running';
  const document = {
    ready: true,
    temporal: { address, namespace: target.kind === 'none' ? null : target.namespace, uiUrl, started },
    policies: policiesDocument(service.policies),
    api: config.apiBaseUrl,
    ledger: service.ledgerPlace,
    http: service.http,
    home: config.home,
    settingsFile: config.dotEnv?.path ?? null,
    pid: process.pid,
  };
  const { policies } = service;
  out.result(document, { ...document, where, policies }, ({ temporal, api, ledger, http, settingsFile, ...view }) =>
    [
      'curfew ready',
      `  Temporal  ${view.where} (${temporal.started})${temporal.uiUrl === null ? '' : `  UI ${temporal.uiUrl}`}`,
      `  API       ${api}`,
      `  ledger    ${ledger}`,
      `  policies  ${policiesWords(view.policies)}`,
      ...(http === null ? [] : [`  metrics   ${http}/metrics`]),
      ...(settingsFile === null ? [] : [`  settings  ${settingsFile}`]),
    ].join('\n'),
  );
}
