import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { ExitCode } from '../../core/errors.js';
import { commandLog } from '../command-log.js';
import { contextOf } from '../context.js';
import { INTERRUPTED, onInterrupt, WORKER_LEAVES_WITHIN_MS } from '../interrupt.js';
import { demoWords, totalsOf } from '../demo/words.js';

export function registerDemo(program: Command): void {
  commandNamed(program, 'demo')
    .description(
      'Plays the whole story with real workers, a real Temporal server and a simulated vendor, in a temporary home. By hand: a clean end, a turn already over, a storm of 500s, a killed worker, a new turn left alone. By policy: thirty sessions under one file with limits on run time, queue time and credits. By plan: two hundred sessions in one bulk job, paused, resumed, its worker killed. At the end it compares what Curfew says with what the simulator knows.',
    )
    .addHelpText('after', '\nExample:\n  $ curfew demo\n\nExits 1 when Curfew and the simulator disagree.')
    .action(async (_options: unknown, command: Command) => {
      const { config, out } = contextOf(command);
      const log = commandLog(config);
      // Workers and a Temporal server have to stop first.
      const interrupt = onInterrupt(WORKER_LEAVES_WITHIN_MS);
      out.say('Starting a Temporal server and a simulated vendor, on this machine only.');
      const { installRuntime } = await import('../../worker/worker.js');
      installRuntime(log, config.logLevel);
      const { setStage } = await import('../demo/stage.js');
      const { play } = await import('../demo/story.js');
      const startedAt = Date.now();
      try {
        const stage = await setStage(config.env, out, interrupt.signal);
        try {
          const acts = await play(stage, out, interrupt.signal);
          const { byHand, fleet, bulk } = acts;
          const agree = [...byHand, ...fleet, ...bulk].every((verdict) => verdict.agree);
          const seconds = Math.round((Date.now() - startedAt) / 1000);
          const totals = { fleetTotals: totalsOf(fleet), bulkTotals: totalsOf(bulk) };
          const document = { agree, seconds, sessions: byHand, fleet, bulk, ...totals };
          out.result(document, { acts, seconds }, (view) => demoWords(view.acts, view.seconds));
          process.exitCode = agree ? ExitCode.done : ExitCode.failed;
        } finally {
          await stage.close();
        }
      } catch (error) {
        if (!interrupt.signal.aborted) throw error;
        out.say('Stopped, and removed everything the demo had started.');
        process.exitCode = INTERRUPTED;
      }
    });
}
