import { shell } from '../../core/text/shell.js';
import type { Command } from 'commander';
import { commandNamed } from '../lazy-commands.js';
import type { Config } from '../../platform/config.js';
import { isScanning } from '../../core/coverage.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { readCoverage } from '../../adapters/ledger/coverage.js';
import { createRulesReader } from '../../engines/fleet/rules-in-force.js';
import { standingsOf } from '../../core/policy/standing.js';
import { asOfLastScan, scanMsOf, vendorTimeNow } from '../../adapters/ledger/stored-facts.js';
import { createVendorClock, type VendorClock } from '../../adapters/vendor/vendor-clock.js';
import { systemClock } from '../../platform/clock.js';
import { isOutcome } from '../../adapters/ledger/bulk-results.js';
import { viewsOfSession } from '../../adapters/ledger/session-views.js';
import type { AgentScan } from '../../adapters/ledger/facts.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { observe } from '../../core/policy/observe.js';
import type { Policy } from '../../core/policy/policy.js';
import { createCredentials } from '../../adapters/vendor/credentials.js';
import { policyOf } from '../../engines/watch/limits.js';
import { checkedSessionId, contextOf, withLedger } from '../context.js';
import { explainDocument, explainWords, type Explanation } from '../explain-words.js';
import type { PolicySource } from '../policy-source.js';
import type { ReadProblem, SessionRead } from '../session-read.js';
import { unjudgedWords } from '../obstacle-words.js';

const LAST_ORDERS = 5;

export function registerExplain(program: Command): void {
  commandNamed(program, 'explain')
    .description(
      'Shows what each policy in force, and a watch, says about a session: numbers, limits, error bounds, time left, and what keeps it from ending. Reads the session once if a key is set, otherwise uses the ledger. Changes nothing.',
    )
    .argument('<id>', 'session id')
    .option('--policies <file>', 'judge by this policy file instead of the one in force')
    .addHelpText(
      'after',
      '\nExamples:\n  $ curfew explain sess_xYz789AbCd\n  $ curfew explain sess_xYz789AbCd --policies draft.yaml',
    )
    .action(async (id: string, options: { policies?: string }, command: Command) => {
      const sessionId = checkedSessionId(id);
      const source = options.policies === undefined ? null : await readDraft(options.policies);
      const { config, out } = contextOf(command);
      await withLedger(config, async (ledger) => {
        const draft = source === null ? null : { name: options.policies ?? '', file: source.file };
        const explanation = await explain(config, ledger, sessionId, draft);
        out.result(explainDocument(explanation), explanation, explainWords);
      });
    });
}

type Draft = { readonly name: string; readonly file: PolicySource['file'] };

async function readDraft(file: string): Promise<PolicySource> {
  const { readPolicySource } = await import('../policy-source.js');
  return readPolicySource(file);
}

async function explain(config: Config, ledger: Ledger, sessionId: string, draft: Draft | null): Promise<Explanation> {
  const [known, watch, breakers, exemptions, pauseSwitch, orders, targeted, coverage, spells, ledgerNowMs] =
    await Promise.all([
      ledger.facts.of(sessionId),
      ledger.watches.get(sessionId),
      ledger.breakers.open(),
      ledger.exemptions.running(),
      ledger.pauseSwitch.read(),
      viewsOfSession(ledger, sessionId, LAST_ORDERS),
      ledger.bulk.ofSession(sessionId, LAST_ORDERS),
      readCoverage(ledger),
      ledger.unjudged.now({ sessionId, limit: 1 }),
      ledger.now(),
    ]);
  const scan = known?.scan ?? null;
  const remembered = known === null ? (watch?.facts ?? null) : asOfLastScan(known.stored, scan);
  const scanMs = scanMsOf(scan);
  const vendorClock = createVendorClock(systemClock);
  const read = await readOnce(config, sessionId, known?.stored.agentId ?? null, scan, vendorClock);
  const agentId = ('seen' in read ? read.seen.subject.agentId : null) ?? remembered?.subject.agentId ?? null;
  const agentScan = scan ?? (agentId === null ? null : await ledger.facts.scanOf(agentId));
  const facts = 'seen' in read ? observe(remembered, read.seen, { scanMs }) : remembered;
  if (facts === null) {
    const [spell] = spells;
    if (spell !== undefined) {
      throw new UserError(
        `Nothing is known of ${unjudgedWords(spell, ledgerNowMs)}.`,
        `Its orders: ${shell`curfew cases ${sessionId}`}`,
        ExitCode.failed,
      );
    }
    const problem = 'problem' in read ? read.problem : '';
    throw new UserError(
      `Curfew knows nothing about ${sessionId}: ${problem}, and no worker has seen it.`,
      'Check the id. Set GUMLOOP_API_KEY and GUMLOOP_USER_ID, as the worker does, to read the session.',
      'reachable' in read && read.reachable ? ExitCode.failed : ExitCode.unreachable,
    );
  }
  const nowMs = Math.max(
    ('seen' in read ? vendorClock.now() : null) ?? vendorTimeNow(scan === null ? [] : [scan], coverage, ledgerNowMs),
    facts.timeline.seenAtMs,
  );
  const { policies, version } = await policiesFor(ledger, draft, new Set(breakers.map(({ policy }) => policy)));
  const openWatch = watch !== null && watch.state === 'watching' ? watch : null;
  const all = openWatch === null ? policies : [...policies, policyOf(openWatch.limits)];
  const exemptUntilMs = Math.max(
    exemptions.get(sessionId) ?? 0,
    ...(draft?.file.exempt ?? []).flatMap((one) => (one.sessionId === sessionId ? [one.untilMs] : [])),
  );
  const isExempt = exemptUntilMs > ledgerNowMs;
  return {
    sessionId,
    nowMs,
    facts,
    from: 'seen' in read ? 'read' : 'ledger',
    problem: 'problem' in read ? read.problem : null,
    version,
    draft: draft?.name ?? null,
    standings: standingsOf(facts, all, nowMs, { scanMs, exempt: isExempt }),
    exemptUntilMs: isExempt ? exemptUntilMs : null,
    pauseSwitch,
    breakers,
    watchedBy: openWatch?.requestedBy ?? null,
    orders,
    unjudged: spells[0] ?? null,
    bulkJobs: targeted.flatMap(({ job, target }) =>
      (job.state === 'running' || job.state === 'paused') && target.status !== 'case' && !isOutcome(target.status)
        ? [
            {
              planId: job.planId,
              state: job.state,
              by: job.appliedBy ?? job.createdBy,
              evenIfExempt: job.evenIfExempt,
              sent: target.status !== 'waiting',
            },
          ]
        : [],
    ),
    agentWatched: agentId === null ? null : agentScan !== null,
    scanAgeMs: coverage === null ? null : ledgerNowMs - coverage.atMs,
    isScanning: coverage !== null && isScanning(coverage, ledgerNowMs),
    ledgerNowMs,
  };
}

async function policiesFor(
  ledger: Ledger,
  draft: Draft | null,
  open: ReadonlySet<string>,
): Promise<{ readonly policies: readonly Policy[]; readonly version: number | null }> {
  if (draft !== null) {
    const policies = draft.file.policies.map((policy): Policy =>
      policy.mode === 'enforce' && open.has(policy.name) ? { ...policy, mode: 'observe' } : policy,
    );
    return { policies, version: null };
  }
  const rules = await createRulesReader(ledger).read();
  if (rules.kind === 'too-new') {
    throw new UserError(
      `A newer Curfew put version ${rules.version} of the policies in force, in a form that this one does not know.`,
      'Use that version of Curfew, or a later one.',
      ExitCode.refused,
    );
  }
  return rules.kind === 'none'
    ? { policies: [], version: null }
    : { policies: rules.rules.policies, version: rules.rules.version };
}

const NO_KEY: ReadProblem = { problem: 'no usable key is set here, so it was not read', reachable: false };

/** One read, if a key is set and the API answers. */
async function readOnce(
  config: Config,
  sessionId: string,
  agentId: string | null,
  scan: AgentScan | null,
  vendorClock: VendorClock,
): Promise<SessionRead> {
  const credentials = createCredentials(config.env);
  try {
    await credentials.headers();
  } catch (error) {
    if (error instanceof UserError) return NO_KEY;
    throw error;
  }
  const { readSession } = await import('../session-read.js');
  return readSession(config, credentials, sessionId, agentId, scan, vendorClock);
}
