import type { OrderReason, OrderResult } from '../../core/contract.js';
import { isRecent } from '../../core/coverage.js';
import type { Read } from '../cases/gate.js';
import { judgeAgain, type Remembered } from '../cases/judge-again.js';
import { policyOrder, type PolicyRules, type RuleVerdict } from '../cases/rules.js';
import type { PermitRequest } from '../../adapters/ledger/breakers.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { OpenOrder } from '../../adapters/ledger/orders.js';
import { matchVerdict } from '../../core/policy/match.js';
import { knownSubject } from '../../core/policy/observe.js';
import type { Policy } from '../../core/policy/policy.js';
import { orderReasonOf } from '../../core/policy/order-reason.js';
import { readCoverage } from '../../adapters/ledger/coverage.js';
import type { RulesReader } from './rules-in-force.js';
import { asOfLastScan, scanMsOf } from '../../adapters/ledger/stored-facts.js';
import { agentOfScan, sessionView } from '../../adapters/vendor/sights.js';
import type { VendorClock } from '../../adapters/vendor/vendor-clock.js';

/** Name of the limit of an order that ends what a session started again after it was ended. */
const ON_RESTART = 'on_restart';

export interface GateRulesDependencies {
  readonly ledger: Ledger;
  readonly rules: RulesReader;
  readonly vendorClock: VendorClock;
  /** Judges the orders of watches, which have limits of their own. */
  readonly judgeService: PolicyRules['judgeService'];
  /** Time between two scans, ms, for agents that were never scanned. */
  readonly scanMs: number;
}

/**
 * The policies in force, as the gate asks them: each order is judged again by what is known and the fresh read, under the
 * rules as they are now, not as they were when it was given.
 */
export function createGateRules({
  ledger,
  rules,
  vendorClock,
  judgeService,
  scanMs,
}: GateRulesDependencies): PolicyRules {
  /** The policy of this name as it counts now; a text says why that can't be told. */
  const policyNow = async (
    name: string | null,
  ): Promise<{ readonly policy: Policy | null; readonly version: number } | string> => {
    const inForce = await rules.read();
    if (inForce.kind === 'none') return 'No policies are in force, so the order can’t be judged again';
    if (inForce.kind === 'too-new')
      return 'The policies in force were written by a newer Curfew than this worker, which can’t judge by them';
    const policy = inForce.rules.file.policies.find((one) => one.name === name);
    return { policy: policy?.mode === 'enforce' ? policy : null, version: inForce.rules.version };
  };

  const permitFor = async ({ name, caps }: Policy): Promise<PermitRequest> => {
    const coverage = await readCoverage(ledger);
    const counts = coverage !== null && isRecent(coverage.completeAtMs, coverage.scanMs, await ledger.now());
    return {
      policy: name,
      caps,
      liveSessions: counts ? coverage.live.processing + coverage.live.queued : null,
      // Its beginning: what was ended while it went on may still have been counted.
      liveAtMs: coverage === null ? null : coverage.atMs - coverage.durationMs,
    };
  };

  return {
    async judge(order, read) {
      const now = await policyNow(order.policy);
      if (typeof now === 'string') return { kind: 'unknown', why: now };
      const { policy, version } = now;
      if (policy === null) return { kind: 'no-longer-violating' };
      if (order.reason.limit?.['name'] === ON_RESTART) {
        // It is about that turn alone: one that a user began after it is not what started by itself.
        const isIt = order.turnKey === read.sighting.turnKey;
        if (policy.onRestart.action !== 'cancel' || !isIt) return { kind: 'no-longer-violating' };
        const isAboutIt = await isAbout(policy, order.sessionId, read);
        if (isAboutIt === null) return { kind: 'unknown', why: matchUnknown(policy) };
        if (!isAboutIt) return { kind: 'no-longer-violating' };
        return { kind: 'send', permit: await permitFor(policy), reason: order.reason };
      }
      return judgeByPolicy(order, read, policy, version);
    },

    judgeService,

    async onRestart(ended, read) {
      const { policy: name } = ended.reason;
      const turnKey = read.sighting.turnKey;
      if (name === null || turnKey === null) return null;
      const now = await policyNow(name);
      if (typeof now === 'string' || now.policy === null) return null;
      const { onRestart } = now.policy;
      const restart = restartsOf(ended) + 1;
      if (onRestart.action !== 'cancel' || restart > onRestart.max) return null;
      if ((await isAbout(now.policy, ended.sessionId, read)) !== true) return null;
      const orders = await ledger.orders.ofTurn(ended.sessionId, turnKey);
      if (orders.some(({ policy }) => policy === name)) return null;
      return policyOrder(ended.sessionId, restartReason(name, now.version, restart, onRestart.max), read.sighting);
    },
  };

  async function recall(sessionId: string): Promise<Remembered> {
    const known = await ledger.facts.of(sessionId);
    if (known === null) return { facts: null, agentId: null, agent: null, scanMs };
    const { stored, scan } = known;
    return {
      facts: asOfLastScan(stored, scan),
      agentId: stored.agentId,
      agent: scan === null ? null : agentOfScan(scan),
      scanMs: scanMsOf(scan, scanMs),
    };
  }

  /** Whether the policy is about the session. @returns null when that depends on what is not known */
  async function isAbout(policy: Policy, sessionId: string, { session }: Read): Promise<boolean | null> {
    if (session === null) return null;
    const { facts, agentId, agent } = await recall(sessionId);
    return matchVerdict(policy.match, knownSubject(sessionView(session, agentId, agent), facts?.subject ?? null));
  }

  async function judgeByPolicy(order: OpenOrder, read: Read, policy: Policy, version: number): Promise<RuleVerdict> {
    const judged = judgeAgain(vendorClock, order, read, await recall(order.sessionId), policy);
    if (typeof judged === 'string') return { kind: 'unknown', why: judged };
    const { verdict, facts } = judged;
    // The order was given after the grace of its time. Under other rules there may be another one, and it counts.
    if (verdict.note === 'in-grace' && order.reason.policyVersion !== version)
      return { kind: 'unknown', why: `The turn is in its grace by "${policy.name}" as it is in force now` };
    switch (judged.violates) {
      case 'yes':
        return { kind: 'send', permit: await permitFor(policy), reason: orderReasonOf(verdict, facts, version) };
      case 'no':
        return { kind: 'no-longer-violating' };
      case 'unknown':
        return { kind: 'unknown', why: `What is known of the session does not say whether it breaks "${policy.name}"` };
    }
  }
}

const matchUnknown = (policy: Policy): string => `It is not known whether "${policy.name}" is about this session`;

/** How many times in a row the session was ended because it had started again. */
function restartsOf({ reason }: OrderResult): number {
  const restart = reason.limit?.['name'] === ON_RESTART ? reason.limit['restart'] : 0;
  return typeof restart === 'number' ? restart : 0;
}

const restartReason = (policy: string, policyVersion: number, restart: number, max: number): OrderReason => ({
  text: `started again by itself after its turn was ended (${restart} of at most ${max})`,
  policy,
  policyVersion,
  limit: { name: ON_RESTART, value: max, restart },
  observed: null,
});
