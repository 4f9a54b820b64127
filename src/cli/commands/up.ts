import type { Command } from 'commander';
import type { Config } from '../../config.js';
import { SEARCH_ATTRIBUTES } from '../../contract.js';
import { cacheDir, prepareHome } from '../../home.js';
import { createCredentials } from '../../sessions/index.js';
import { startService, type RunningService } from '../../service.js';
import { obtainTemporalCli } from '../../temporal/binary.js';
import { resolveTemporal, type TemporalTarget } from '../../temporal/connection.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../temporal/embedded.js';
import { installRuntime } from '../../worker.js';
import { contextOf, type CommandContext } from '../context.js';
import { onInterrupt } from '../interrupt.js';

interface ServiceCommandOptions {
  readonly adoptTemporal?: boolean;
}

export function registerUp(program: Command): void {
  program
    .command('up')
    .summary('start Curfew here: Temporal if none is configured, and a worker')
    .description(
      'Starts Curfew in the foreground: a Temporal server of its own when none is configured (TEMPORAL_ADDRESS or a profile), and a worker. Prints `curfew ready` when orders are carried out.',
    )
    .option('--adopt-temporal', 'take over a ledger that belonged to another Temporal')
    .addHelpText(
      'after',
      `
Examples:
  $ GUMLOOP_API_KEY=… GUMLOOP_USER_ID=… curfew up
  $ curfew cancel sess_xYz789AbCd --wait      (in another terminal, from any folder)

State is kept in the home folder (CURFEW_HOME); \`curfew doctor\` shows where. Without a configured Temporal the first start
obtains the Temporal CLI: TEMPORAL_CLI_PATH, PATH, Curfew's cache, a download, or \`go install\` (some minutes, once).
Ctrl-C stops; open cases go on with the next start.`,
    )
    .action(async (options: ServiceCommandOptions, command: Command) => {
      const context = contextOf(command, false);
      const interrupt = onInterrupt();
      await requireCredential(context.config);
      const server = await ensureTemporal(context, interrupt.signal);
      try {
        await serve(
          context,
          server?.target ?? resolveTemporal(context.config),
          options,
          interrupt.signal,
          server?.server,
        );
      } finally {
        await server?.server.stop();
      }
    });

  program
    .command('worker')
    .summary('a worker only, for a Temporal that runs already')
    .description(
      'Starts a worker in the foreground, for the configured Temporal or the one that `curfew up` runs here.',
    )
    .option('--adopt-temporal', 'take over a ledger that belonged to another Temporal')
    .addHelpText(
      'after',
      '\nExample:\n  $ TEMPORAL_ADDRESS=temporal:7233 CURFEW_DATABASE_URL=postgres://… curfew worker',
    )
    .action(async (options: ServiceCommandOptions, command: Command) => {
      const context = contextOf(command, false);
      const interrupt = onInterrupt();
      await requireCredential(context.config);
      await serve(context, resolveTemporal(context.config), options, interrupt.signal, undefined);
    });
}

/** Without any credential there is no use in starting. One that is refused may work again later, so that only warns. */
async function requireCredential(config: Config): Promise<void> {
  await createCredentials(config.env).headers();
}

/** @returns null when a Temporal is configured, and so none is needed */
async function ensureTemporal(
  { config, out, log }: CommandContext,
  signal: AbortSignal,
): Promise<{ server: EmbeddedServer; target: TemporalTarget } | null> {
  await prepareHome(config.home);
  if (resolveTemporal(config).kind === 'configured') return null;
  const onProgress = (text: string): void => out.say(text);
  const binary = await obtainTemporalCli({ env: config.env, cacheDir: cacheDir(config.env), onProgress, signal });
  const server = await startEmbeddedServer({
    home: config.home,
    binary: binary.path,
    env: config.env,
    onProgress,
    logger: log,
    searchAttributes: SEARCH_ATTRIBUTES,
  });
  const { address, namespace, uiUrl } = server;
  return { server, target: { kind: 'embedded', address, namespace, uiUrl } };
}

/** Runs a worker until it is told to stop. */
async function serve(
  { config, out, log }: CommandContext,
  target: TemporalTarget,
  options: ServiceCommandOptions,
  signal: AbortSignal,
  server: EmbeddedServer | undefined,
): Promise<void> {
  installRuntime(log, config.logLevel);
  const service = await startService(config, target, log, { adoptTemporal: options.adoptTemporal === true });
  announce(out, config, target, service, server);
  const stop = (): void => {
    out.say('Stopping: requests under way get 20 s to finish. Open cases go on when Curfew runs again.');
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
    api: config.apiBaseUrl,
    ledger: service.ledgerPlace,
    home: config.home,
    pid: process.pid,
  };
  out.result(document, () =>
    [
      'curfew ready',
      `  Temporal  ${where} (${started})${uiUrl === null ? '' : `  UI ${uiUrl}`}`,
      `  API       ${config.apiBaseUrl}`,
      `  ledger    ${service.ledgerPlace}`,
    ].join('\n'),
  );
}
