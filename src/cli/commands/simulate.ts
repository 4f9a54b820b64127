import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { contextOf } from '../context.js';
import { onInterrupt } from '../interrupt.js';

export function registerSimulate(program: Command): void {
  commandNamed(program, 'simulate')
    .description(
      'Serves the vendor’s agents and sessions API on this machine, with sessions that run, cost and misbehave on demand.',
    )
    .option('--port <number>', 'port on 127.0.0.1; 0 for a free one', '4010')
    .option('--scenario <file>', 'agents, sessions and faults to begin with (YAML or JSON)')
    .addHelpText(
      'after',
      `
Examples:
  $ curfew simulate                              in one terminal; it prints the settings for the next
  $ curfew simulate --scenario my.yaml --port 0 --json

Control API: docs/simulator.md. Faults: docs/simulator-faults.md`,
    )
    .action(async (options: { port: string; scenario?: string }, command: Command) => {
      const { out } = contextOf(command);
      if (!/^\d{1,5}$/.test(options.port) || Number(options.port) > 65_535) {
        throw new UserError(
          `"${options.port}" is not a port.`,
          'Give a number from 0 to 65535: --port 4010.',
          ExitCode.usage,
        );
      }
      const { defaultScenario, loadScenario, startSimulator } = await import('../../../simulator/index.js');
      const scenario = options.scenario === undefined ? defaultScenario : await loadScenario(options.scenario);
      const interrupt = onInterrupt();
      const simulator = await startSimulator({ port: Number(options.port), scenario });
      const { url, controlUrl, apiKey, userId } = simulator;
      const document = { url, controlUrl, apiKey, userId };
      out.result(document, document, (running) =>
        [
          `Simulator at ${running.url}; control at ${running.controlUrl}. Ctrl-C ends it.`,
          'In the other terminals:',
          shell`  export GUMLOOP_BASE_URL=${running.url} GUMLOOP_API_KEY=${running.apiKey} GUMLOOP_USER_ID=${running.userId}`,
        ].join('\n'),
      );
      await new Promise<void>((resolve) => interrupt.signal.addEventListener('abort', () => resolve(), { once: true }));
      await simulator.close();
    });
}
