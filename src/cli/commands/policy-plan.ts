import { sayWarnings } from '../policy-words.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { askedPatiently } from '../../adapters/vendor/patience.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { planPolicies, type PlanProgress } from '../../engines/fleet/plan.js';
import { openLedgerIfAny } from '../../adapters/ledger/ledger.js';
import { SessionsError } from '../../adapters/vendor/index.js';
import { readEndedRuns } from '../../adapters/ledger/ended-runs.js';
import { contextOf } from '../context.js';
import { withFleet } from '../fleet-access.js';
import { planDocument, planWords } from '../plan-words.js';
import type { Output } from '../output.js';
import { counted } from '../words.js';
import { INTERRUPTED, onInterrupt } from '../interrupt.js';
import { readPolicySource } from '../policy-source.js';
import { wholeNumber } from '../option-values.js';

/** Facts of sessions that were live lately stand for the time before this look, ms. */
const KNOWN_WITHIN_MS = 60 * 60_000;

export function registerPolicyPlan(policy: Command): void {
  commandNamed(policy, 'plan')
    .description(
      'Reads all live sessions and says what the file would do with each if it were in force. Sends no cancel request and writes nothing. Needs the key; uses the ledger if there is one.',
    )
    .argument('<file>', 'policy file (YAML or JSON)')
    .option('--limit <n>', 'sessions to show', wholeNumber, 50)
    .option('--max-retrieves <n>', 'most sessions to read one by one, if lists do not say enough', wholeNumber, 500)
    .addHelpText(
      'after',
      `
Examples:
  $ curfew policy plan curfew.yaml
  $ curfew policy plan curfew.yaml --json | jq '.policies[] | {name, endNow}'

Exit codes: 0 planned, 2 the file or a setting is not valid, 4 the API or the ledger can't be reached.`,
    )
    .action(async (file: string, options: { limit: number; maxRetrieves: number }, command: Command) => {
      const source = await readPolicySource(file);
      const { config, out } = contextOf(command);
      const interrupt = onInterrupt();
      // It changes nothing, so it may leave where it is.
      interrupt.signal.addEventListener('abort', () => {
        out.clear();
        out.say('Interrupted: nothing was sent, nothing was changed.');
        process.exit(INTERRUPTED);
      });
      sayWarnings(out, source.warnings);
      await withFleet(config, out, async (fleet) => {
        // A plan needs no ledger: without one, everything is seen for the first time.
        const ledger = await openLedgerIfAny(config.databaseUrl);
        try {
          const exempt = new Set(ledger === null ? [] : (await ledger.exemptions.running()).keys());
          const nowMs = ledger === null ? Date.now() : await ledger.now();
          for (const { sessionId, untilMs } of source.file.exempt) if (untilMs > nowMs) exempt.add(sessionId);
          const plan = await planPolicies(
            { ...fleet, sessions: askedPatiently(fleet.sessions, fleet.limiter) },
            {
              policies: source.file.policies,
              known: ledger === null ? null : await ledger.facts.load(KNOWN_WITHIN_MS),
              exempt,
              endedRuns: ledger === null ? [] : (await readEndedRuns(ledger)).map(({ runs }) => runs),
              openBreakers: new Set((await ledger?.breakers.open())?.map((breaker) => breaker.policy)),
              permitsTaken: async ({ name, caps }) => (ledger === null ? 0 : ledger.breakers.taken(name, caps.perMs)),
              maxRetrieves: options.maxRetrieves,
              onProgress: progressOn(out),
            },
          );
          out.clear();
          const view = { plan, file, limit: options.limit, withLedger: ledger !== null };
          out.result(planDocument(plan, options.limit), view, planWords);
        } catch (error) {
          out.clear();
          if (!(error instanceof SessionsError)) throw error;
          throw new UserError(
            `The fleet can't be read: ${error.message}. Nothing was changed.`,
            'curfew doctor checks key and API.',
            ExitCode.unreachable,
          );
        } finally {
          interrupt.dispose();
          await ledger?.close();
        }
      });
    });
}

const progressOn =
  (out: Output) =>
  (progress: PlanProgress): void =>
    out.redraw(progress, progressWords);

function progressWords({ agents, agentsListed, live, retrieves, retrievesDone }: PlanProgress): string {
  const looked = retrieves === 0 ? '' : `, ${retrievesDone} of ${retrieves} looked at`;
  return `${agentsListed} of ${counted(agents, 'agent')} listed, ${counted(live, 'live session')}${looked} …`;
}
