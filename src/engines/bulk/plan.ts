import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { BulkTotals } from '../../core/contract.js';
import { ExitCode, UserError } from '../../core/errors.js';
import type { BulkJob, NewBulkPlan, TargetToFreeze } from '../../adapters/ledger/bulk-plans.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { refuseToReplaceNewer } from '../../adapters/ledger/policy-versions.js';
import { didYouMean } from '../../core/policy-file/suggest.js';
import type { Policy } from '../../core/policy/policy.js';
import { EXAMPLES, type GivenId, type GivenIds, type LeftLines } from './given-ids.js';
import type { FleetAccess, FoundTarget, TargetAbout } from './judge-page.js';
import { findLive, type FindProgress } from './live-targets.js';
import { unlessAborted } from '../../adapters/vendor/patience.js';
import { newPlanId } from './plan-id.js';
import { criteriaOf, type BulkSelection, type LiveSelection } from './selection.js';
import { createProfile, type ProfileBuilder } from './profile.js';
import { countTargets } from './totals.js';

export interface BulkPlanDependencies {
  readonly ledger: Pick<Ledger, 'bulk' | 'exemptions' | 'facts' | 'now' | 'policies'>;
  /** Where live sessions are looked for. Ids need none: a plan of ids asks the vendor nothing. */
  readonly fleet: FleetAccess | null;
}

export interface BulkPlanInput extends Omit<NewBulkPlan, 'planId' | 'selection'> {
  readonly selection: BulkSelection;
  /** Default: a new one. */
  readonly planId?: string;
  /** The selection as it was written; for people. */
  readonly written: Readonly<Record<string, unknown>>;
  /** Targets beyond so many are frozen, but never sent for. Default: no bound. */
  readonly maxTargets?: number;
  /** Sessions that are read one by one, where lists don't tell enough. Default: no bound. */
  readonly maxRetrieves?: number;
  readonly onProgress?: (progress: BulkPlanProgress) => void;
  /** Gives up and discards what was begun. */
  readonly signal?: AbortSignal;
}

export interface BulkPlanProgress extends FindProgress {
  /** Targets so far. */
  readonly targets: number;
}

export interface BulkPlanMade {
  readonly job: BulkJob;
  /** Live sessions that were listed; null: the vendor was not asked. */
  readonly live: number | null;
  /** All lists that were wanted were read whole. */
  readonly complete: boolean;
  /** What else there is to say, for people: it does not mean that sessions may be missing. */
  readonly notices: readonly string[];
}

/**
 * Freezes a selection as a plan: targets go straight into the ledger, and are then sealed with totals, a hash and an expiry.
 * Nothing is sent that ends anything. When it fails or is given up, what was begun is discarded.
 *
 * @throws UserError for a selection that can't be made; SessionsError when the fleet can't be looked at; the signal's reason
 */
export async function makePlan(deps: BulkPlanDependencies, input: BulkPlanInput): Promise<BulkPlanMade> {
  const { ledger } = deps;
  const { selection, written, by, source, cleanup, reason } = input;
  const signal = input.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  const policies = selection.kind === 'live' ? await violatedPolicies(ledger, selection) : [];
  const planId = input.planId ?? newPlanId();
  await ledger.bulk.begin({ planId, by, source, cleanup, reason, selection: written });
  try {
    const freezer = createFreezer(ledger, planId, input.maxTargets ?? Infinity);
    const collected =
      selection.kind === 'ids'
        ? await collectIds(ledger, freezer, selection.given, selection.exceptSessions ?? [], signal)
        : await collectLive(deps, freezer, selection, policies, { ...input, signal });

    const exempt = new Set((await ledger.exemptions.running()).keys());
    const { totals, capped, among } = await countTargets(ledger, planId, collected.agentNames, exempt, signal);
    const leftOut = Object.fromEntries(
      Object.entries({ ...collected.leftOut, capped }).filter(([, count]) => count > 0),
    );
    const gaps = among === 0 ? collected.gaps : [...collected.gaps, exemptGap(among)];
    const hash = await ledger.bulk.hash(planId);
    signal.throwIfAborted();
    const profile = collected.profile.built();
    const sealed: BulkTotals = { ...totals, leftOut, gaps, ...(profile === null ? {} : { profile }) };
    const job = (await ledger.bulk.seal(planId, { totals: sealed, hash })) ? await ledger.bulk.get(planId) : null;
    if (job === null) throw removedMeanwhile(planId);
    return { job, live: collected.live, complete: collected.complete, notices: collected.notices };
  } catch (error) {
    // Without the ledger it can't be removed now; the ledger's own cleaning takes it later, and nobody can apply it.
    await ledger.bulk.discard(planId).catch(() => undefined);
    throw error;
  }
}

interface Collected {
  readonly agentNames: ReadonlyMap<string, string | null>;
  readonly live: number | null;
  readonly complete: boolean;
  readonly leftOut: Readonly<Record<string, number>>;
  readonly gaps: readonly string[];
  readonly notices: readonly string[];
  /** Of targets that were given by their ids nothing is known. */
  readonly profile: ProfileBuilder;
}

interface Freezer {
  /** @returns the number of the first one, and how many were new */
  add(targets: readonly TargetToFreeze[]): Promise<{ readonly firstSeq: number; readonly added: number }>;
  /** Targets so far. */
  count(): number;
  /** The first one that is in the plan already though it was given again. */
  repeated(firstSeq: number, count: number): Promise<readonly number[]>;
}

/** Writes targets in their order. The cap counts those that are new, so that a session given twice takes one place. */
function createFreezer({ bulk }: Pick<Ledger, 'bulk'>, planId: string, maxTargets: number): Freezer {
  let nextSeq = 0;
  let targets = 0;
  const write = async (some: readonly TargetToFreeze[]): Promise<number> => {
    // A ledger in a file answers at once: others get their turn between two writes.
    await yieldToOthers();
    const added = await bulk.addTargets(planId, nextSeq, some);
    nextSeq += some.length;
    targets += added;
    return added;
  };
  return {
    count: () => targets,
    add: async (given) => {
      const firstSeq = nextSeq;
      let added = 0;
      for (let rest = given; rest.length > 0;) {
        const room = Math.max(0, maxTargets - targets);
        const some = room === 0 ? rest.map((target) => ({ ...target, capped: true })) : rest.slice(0, room);
        added += await write(some);
        rest = rest.slice(some.length);
      }
      return { firstSeq, added };
    },
    repeated: async (firstSeq, count) => {
      const stored = await bulk.targets(planId, { afterSeq: firstSeq - 1, limit: count });
      const present = new Set(stored.map(({ seq }) => seq - firstSeq));
      return Array.from({ length: count }, (_, index) => index).filter((index) => !present.has(index));
    },
  };
}

async function collectLive(
  { ledger, fleet }: BulkPlanDependencies,
  freezer: Freezer,
  selection: LiveSelection,
  policies: readonly Policy[],
  { maxRetrieves = Infinity, onProgress, signal }: BulkPlanInput & { readonly signal: AbortSignal },
): Promise<Collected> {
  if (fleet === null) throw new Error('A selection of live sessions needs access to the fleet.');
  let progress: FindProgress = { agents: 0, agentsListed: 0, retrieves: 0 };
  const profile = createProfile();
  const report = (): void => onProgress?.({ ...progress, targets: freezer.count() });
  const found = await findLive({ ...fleet, ledger }, criteriaOf(selection, policies), {
    maxRetrieves,
    signal,
    take: async (targets) => {
      const { firstSeq, added } = await freezer.add(targets);
      // A session that changes its state meanwhile is listed twice.
      const again = added === targets.length ? [] : await freezer.repeated(firstSeq, targets.length);
      const fresh = again.length === 0 ? targets : targets.filter((_, index) => !again.includes(index));
      profile.add(await asRemembered(ledger, fresh));
      report();
    },
    onProgress: (news) => {
      progress = news;
      report();
    },
  });
  const { exceptCreators, exceptSessions, ...rest } = found;
  return {
    ...rest,
    leftOut: { exceptCreator: exceptCreators, exceptSession: exceptSessions.size },
    notices: notSeen(selection.exceptSessions ?? [], exceptSessions),
    profile,
  };
}

/** A list does not say when a turn began. A worker's scans may know it of a session that its last one listed. */
async function asRemembered(
  { facts }: Pick<Ledger, 'facts'>,
  targets: readonly FoundTarget[],
): Promise<{ readonly about: TargetAbout }[]> {
  const stored = await facts.among(targets.map(({ sessionId }) => sessionId));
  return targets.map(({ sessionId, about }) => {
    const known = stored.get(sessionId);
    if (known?.listed !== true) return { about };
    const { turn, credits } = known.facts.timeline;
    return {
      about: {
        ...about,
        turnStartedAtMs: about.turnStartedAtMs ?? turn?.startedAtMs ?? null,
        credits: about.credits ?? credits,
      },
    };
  });
}

async function collectIds(
  ledger: Pick<Ledger, 'now'>,
  freezer: Freezer,
  given: GivenIds,
  except: readonly string[],
  signal: AbortSignal,
): Promise<Collected> {
  let duplicates = 0;
  const examples: string[] = [];
  const excepted: ReadonlySet<string> = new Set(except);
  const seen = new Set<string>();
  const batches = given.batches();
  try {
    for (;;) {
      const next = await unlessAborted(batches.next(), signal);
      if (next.done === true) break;
      for (const { sessionId } of next.value) if (excepted.has(sessionId)) seen.add(sessionId);
      const ids = next.value.filter(({ sessionId }) => !excepted.has(sessionId));
      const seenAtMs = await ledger.now();
      const { firstSeq, added } = await freezer.add(ids.map(({ sessionId }) => byItsId(sessionId, seenAtMs)));
      if (added === ids.length) continue;
      duplicates += ids.length - added;
      if (examples.length < EXAMPLES) {
        const repeated = await freezer.repeated(firstSeq, ids.length);
        examples.push(...repeated.flatMap((index) => lineOf(ids[index])).slice(0, EXAMPLES - examples.length));
      }
    }
  } finally {
    given.close();
  }
  const { blank, malformed, examples: malformedExamples, hashRows } = given.left();
  return {
    agentNames: new Map(),
    live: null,
    complete: malformed === 0,
    leftOut: { duplicate: duplicates, blank, malformed, exceptSession: seen.size },
    gaps: malformed === 0 ? [] : [`${lines(malformed)} no session id (${few(malformedExamples, malformed)}).`],
    notices: [
      ...(duplicates === 0 ? [] : [`Given more than once, and planned once: ${few(examples, duplicates)}.`]),
      ...(hashRows.count === 0 ? [] : [hashRowsNotice(hashRows)]),
      ...notSeen(except, seen),
    ],
    profile: createProfile(),
  };
}

/** A typing mistake in an exception would leave the session in the plan. */
function notSeen(excepted: readonly string[], seen: ReadonlySet<string>): string[] {
  const missed = [...new Set(excepted)].filter((sessionId) => !seen.has(sessionId));
  return missed.length === 0
    ? []
    : [
        `Excepted, and not among the sessions that were looked at (check the spelling): ${few(missed.slice(0, EXAMPLES), missed.length)}.`,
      ];
}

/** Of a session that was given by its id nothing is known: the turn that runs when it is frozen is meant. */
const byItsId = (sessionId: string, seenAtMs: number): TargetToFreeze => ({
  sessionId,
  agentId: null,
  state: null,
  turnKey: null,
  turnStartedAtMs: null,
  seenAtMs,
});

const lineOf = (given: GivenId | undefined): string[] =>
  given === undefined ? [] : [`line ${given.line}: ${JSON.stringify(given.sessionId)}`];
const lines = (count: number): string => (count === 1 ? '1 line holds' : `${count} lines hold`);
const few = (examples: readonly string[], of: number): string =>
  [...examples, ...(of > examples.length ? [`and ${of - examples.length} more`] : [])].join('; ');

/** Whoever meant to take a row out of the file must learn that it is in the plan. */
const hashRowsNotice = ({ count, examples }: LeftLines['hashRows']): string =>
  `Rows that begin with # are rows in CSV, not comments, and are in the plan: ${few(examples, count)}. To leave a session out, delete its row.`;

const exemptGap = (count: number): string =>
  `${count} of the targets ${count === 1 ? 'is' : 'are'} exempt, and left alone unless the plan is applied with --even-if-exempt.`;

/** @throws UserError when the policy that is meant is not in force */
async function violatedPolicies(
  { policies }: Pick<Ledger, 'policies'>,
  { violators }: LiveSelection,
): Promise<readonly Policy[]> {
  if (violators === null) return [];
  const inForce = await policies.inForce();
  refuseToReplaceNewer(inForce);
  if (inForce.kind !== 'known') {
    throw new UserError(
      'No policies are in force, so no session breaks one. No plan was made.',
      'Put a policy file in force with `curfew policy apply`, or select by other criteria.',
      ExitCode.usage,
    );
  }
  const all = inForce.inForce.file.policies;
  if (violators === 'all') return all;
  const named = all.find(({ name }) => name === violators.policy);
  if (named === undefined) {
    const names = all.map(({ name }) => name);
    throw new UserError(
      `No policy in force has the name ${JSON.stringify(violators.policy)}. No plan was made.`,
      didYouMean(violators.policy, names) ?? `In force: ${names.join(', ') || 'none'}.`,
      ExitCode.usage,
    );
  }
  if (named.mode === 'off') {
    throw new UserError(
      `The policy ${named.name} is off, so no session breaks it. No plan was made.`,
      'Set its mode to observe and apply the file, or select by other criteria.',
      ExitCode.usage,
    );
  }
  return all;
}

const removedMeanwhile = (planId: string): UserError =>
  new UserError(
    `The plan ${planId} was removed while it was being made. Nothing was sent.`,
    'Make it again.',
    ExitCode.failed,
  );
