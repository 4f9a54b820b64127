import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import { ExitCode, UserError } from '../../core/errors.js';
import type { Breaker } from '../../adapters/ledger/breakers.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { PoliciesInForce } from '../../adapters/ledger/policy-versions.js';
import { closest } from '../../core/policy-file/suggest.js';
import { trippedWords } from '../obstacle-words.js';
import { contextOf, withLedger } from '../context.js';
import { span } from '../output.js';
import { iso } from '../../core/times.js';
import { asOption } from '../requester.js';

export function registerPolicyResume(policy: Command): void {
  commandNamed(policy, 'resume')
    .description(
      'A policy over its caps falls back to observe, so that a wrong rule ends few turns. This makes it enforce again; its caps count from zero.',
    )
    .argument('<name>', 'name of the policy')
    .addOption(asOption())
    .addHelpText(
      'after',
      '\nExample:\n  $ curfew policy resume no-all-nighters\n\nExit codes: 0 it enforces again, or its breaker was not open; 2 no such policy.',
    )
    .action(async (name: string, _options: unknown, command: Command) => {
      const { config, out, by } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const inForce = await ledger.policies.inForce();
        const breaker = (await ledger.breakers.open()).find((one) => one.policy === name) ?? null;
        // A breaker of a policy that is no longer in the file can be closed, too.
        if (breaker === null) requireKnown(name, inForce);
        const nowMs = await ledger.now();
        const closed = breaker !== null && (await ledger.breakers.close(name, by));
        const next = await nextWords(name, inForce, ledger);
        out.result(
          {
            policy: name,
            closed,
            tripped: breaker === null ? null : { at: iso(breaker.openedAtMs), ...breaker.reason },
          },
          { name, breaker, closed, nowMs, next },
          (view) => `${headline(view.name, view.breaker, view.closed, view.nowMs)}\n${view.next}`,
        );
      });
    });
}

function requireKnown(name: string, inForce: PoliciesInForce): void {
  const names = inForce.kind === 'known' ? inForce.inForce.file.policies.map((policy) => policy.name) : [];
  if (names.includes(name)) return;
  const meant = closest(name, names);
  throw new UserError(
    `No policy in force has the name ${JSON.stringify(name.slice(0, 80))}. Nothing was changed.`,
    names.length === 0
      ? 'Nothing is in force yet: curfew policy apply FILE'
      : `${meant === null ? '' : `Did you mean ${meant}? `}In force: ${names.join(', ')}.`,
    ExitCode.usage,
  );
}

function headline(name: string, breaker: Breaker | null, closed: boolean, nowMs: number): string {
  if (breaker === null) return `The breaker of ${name} is not open. Nothing was changed.`;
  if (!closed) return `Someone else has just closed the breaker of ${name}.`;
  return `Closed the breaker of ${name}. It opened ${span(nowMs - breaker.openedAtMs)} ago, because ${trippedWords(breaker.reason)}.`;
}

/** What happens next. */
async function nextWords(name: string, inForce: PoliciesInForce, ledger: Ledger): Promise<string> {
  const policy = inForce.kind === 'known' ? inForce.inForce.file.policies.find((one) => one.name === name) : undefined;
  if (policy === undefined) return 'The policy is no longer in force, so this changes nothing.';
  if (policy.mode !== 'enforce') return `It is in mode ${policy.mode}, so it ends nothing.`;
  const { paused } = await ledger.pauseSwitch.read();
  const until = paused ? ', after `curfew resume`: Curfew is paused' : '';
  return `It ends turns over its limits from the next scan on, including those that the breaker has spared; at most ${policy.caps.maxCancels} before it stops again${until}. Which it would end now: curfew status`;
}
