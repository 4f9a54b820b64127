import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { explainDocument, explainWords, headline, type Explanation } from '../../src/cli/explain-words.js';
import { leftWords, verdictName } from '../../src/cli/standing-words.js';
import { standingsOf, type PolicyStanding } from '../../src/core/policy/standing.js';
import type { OrderView } from '../../src/adapters/ledger/results.js';
import type { Facts } from '../../src/core/policy/facts.js';
import { absentFromLists, fromListItem, fromRetrieve, type SessionView } from '../../src/core/policy/observation.js';
import { observe } from '../../src/core/policy/observe.js';
import { NO_LIMITS, type Limits, type Policy } from '../../src/core/policy/policy.js';
import { policyOf } from '../../src/engines/watch/limits.js';
import { transcriptOf } from '../../src/core/policy/turn.js';

const NOW = Date.UTC(2026, 0, 5, 12, 0, 0);
const MINUTE = 60_000;
const SCAN_MS = 15_000;

const limitsOf = (limits: Partial<Limits>): Limits => ({ ...NO_LIMITS, ...limits });
const policy = (given: Partial<Omit<Policy, 'limits'>> & { limits: Partial<Limits> }): Policy => ({
  name: 'no-all-nighters',
  match: { agents: ['support-*'] },
  warnAt: null,
  graceMs: 0,
  mode: 'enforce',
  caps: { maxCancels: 50, maxPercent: 50, perMs: 60 * MINUTE },
  notify: [],
  onRestart: { action: 'report' },
  ...given,
  limits: limitsOf(given.limits),
});
const session = (state: string | null, given: Partial<SessionView> = {}): SessionView => ({
  state,
  createdAtMs: NOW - 40 * MINUTE,
  transcript: transcriptOf([{ id: 'msg_1', role: 'user', createdAtMs: NOW - 40 * MINUTE }]),
  usage: null,
  agentId: 'agent_1',
  agentName: 'support-triage',
  creatorId: null,
  creatorEmail: null,
  teamId: null,
  ...given,
});
/** As one retrieve shows it. Its turn began 40 minutes ago. */
const seen = (state: string | null, given: Partial<SessionView> = {}): Facts =>
  observe(null, fromRetrieve(session(state, given), NOW), { scanMs: SCAN_MS });

function explanation(
  facts: Facts,
  policies: readonly Policy[],
  given: Partial<Explanation> = {},
  exempt = false,
): Explanation {
  return {
    sessionId: 'sess_1',
    nowMs: NOW,
    facts,
    from: 'read',
    problem: null,
    version: 3,
    draft: null,
    standings: standingsOf(facts, policies, NOW, { scanMs: SCAN_MS, exempt }),
    exemptUntilMs: exempt ? NOW + 120 * MINUTE : null,
    pauseSwitch: { paused: false, reason: null, changedBy: null, changedAtMs: null },
    breakers: [],
    watchedBy: null,
    orders: [],
    unjudged: null,
    bulkJobs: [],
    agentWatched: true,
    scanAgeMs: 5_000,
    isScanning: true,
    ledgerNowMs: NOW,
    ...given,
  };
}
const breaker = {
  policy: 'no-all-nighters',
  openedAtMs: NOW - MINUTE,
  reason: { cap: 'max_cancels', capValue: 5, taken: 5, perMs: 60 * MINUTE, liveSessions: 30 },
} as const;
const openOrder: OrderView = {
  orderId: 'order-1',
  phase: 'confirming',
  nextTryAtMs: NOW + 5_000,
  decidedAtMs: null,
  holder: null,
  result: {
    sessionId: 'sess_1',
    agentId: 'agent_1',
    turnKey: 'msg_1',
    outcome: null,
    attribution: null,
    reason: { text: 'has run 47m, limit 45m', policy: 'hard-stop', policyVersion: 2, limit: null, observed: null },
    requestedBy: 'policy hard-stop',
    attempts: 1,
    orderedAt: new Date(NOW - MINUTE).toISOString(),
    endedAt: null,
    lastError: null,
    events: [],
  },
};

describe('the headline of `curfew explain`', () => {
  const runtime45 = policy({ limits: { max_runtime: 45 * MINUTE } });

  it('says in how long a policy ends the turn, and how to keep it', () => {
    expect(headline(explanation(seen('processing'), [runtime45]))).toBe(
      'Policy no-all-nighters ends its turn in 5 min, unless the turn ends before. To keep it: curfew exempt sess_1 --for 2h --reason "…"',
    );
  });

  it('adds the grace to the time left', () => {
    const graceful = { ...runtime45, graceMs: 3 * MINUTE };
    expect(headline(explanation(seen('processing'), [graceful]))).toContain('ends its turn in 8 min');
  });

  it('says that a policy ends it now, with the numbers', () => {
    const short = policy({ limits: { max_runtime: 30 * MINUTE } });
    expect(headline(explanation(seen('processing'), [short]))).toMatch(
      /^Policy no-all-nighters ends its turn now: it has run 40m, limit 30m.* To keep it: /,
    );
  });

  it('says when grace is over', () => {
    const short = policy({ limits: { max_runtime: 30 * MINUTE }, graceMs: 10 * MINUTE });
    expect(headline(explanation(seen('processing'), [short]))).toMatch(
      /in 10 min, when its grace is over.*has run 40m/,
    );
  });

  it('names the amount where no time is known', () => {
    const usage = { creditCost: 100, inputTokens: 1, outputTokens: 1 };
    const budget = policy({ limits: { max_session_credits: 500 } });
    expect(headline(explanation(seen('processing', { usage }), [budget]))).toContain(
      'ends its turn when it has used 400 credits more',
    );
  });

  it('takes the policy that comes first', () => {
    const later = policy({ name: 'later', limits: { max_runtime: 60 * MINUTE } });
    expect(headline(explanation(seen('processing'), [later, runtime45]))).toMatch(/^Policy no-all-nighters .* 5 min/);
  });

  it('says that a watch ends it, and whose it is', () => {
    const watched = explanation(seen('processing'), [policyOf(limitsOf({ max_runtime: 45 * MINUTE }))], {
      watchedBy: 'import-job',
    });
    expect(headline(watched)).toMatch(/^The watch of import-job ends its turn in 5 min/);
  });

  it.each([
    ['at rest', seen('completed'), [runtime45], {}, 'no turn runs in it (completed)'],
    ['waiting for a person', seen('approval_required'), [runtime45], {}, 'while it waits (approval_required)'],
    ['in a state that nobody knows', seen('dreaming'), [runtime45], {}, 'while its state is dreaming'],
    ['not known to be in any state', seen(null), [runtime45], {}, 'while its state is unknown'],
    ['not matched', seen('processing', { agentName: 'sales' }), [runtime45], {}, 'no policy in force matches it'],
    ['under no policy at all', seen('processing'), [], { version: null }, 'no policies are in force'],
    ['perhaps not meant', seen('processing', { agentName: null }), [runtime45], {}, "can't decide: unknown"],
  ])('says that nothing ends a session that is %s', (_what, facts, policies, given, why) => {
    const said = headline(explanation(facts, policies, given));
    expect(said).toMatch(/^Nothing will end this session/);
    expect(said).toContain(why);
  });

  it('says until when an exempt session is safe, and no more', () => {
    expect(headline(explanation(seen('processing'), [runtime45], {}, true))).toBe(
      'Nothing will end this session before 2026-01-05T14:00:00.000Z, in 2 h: it is exempt. After that its limits count again.',
    );
  });

  it('says what a policy would do that only observes', () => {
    const observing = policy({ mode: 'observe', limits: { max_runtime: 30 * MINUTE } });
    expect(headline(explanation(seen('processing'), [observing]))).toMatch(
      /^Nothing will end this session: the policy that matches it only observes; no-all-nighters would, because it has run 40m/,
    );
  });

  it('says that a breaker is open, and how to close it', () => {
    const observing = policy({ mode: 'observe', limits: { max_runtime: 30 * MINUTE } });
    expect(headline(explanation(seen('processing'), [observing], { breakers: [breaker] }))).toContain(
      'curfew policy resume no-all-nighters',
    );
  });

  it('says that Curfew is paused', () => {
    const pauseSwitch = { paused: true, reason: 'incident 42', changedBy: 'ops', changedAtMs: NOW - MINUTE };
    const said = explainWords(explanation(seen('processing'), [runtime45], { pauseSwitch }));
    expect(said).toContain('But Curfew is paused');
    expect(said).toContain('paused for 60 s (incident 42)');
  });

  it('says first that an order is open, whatever else is known, and how to stop it', () => {
    const said = headline(explanation(seen('processing'), [runtime45], { orders: [openOrder] }, true));
    expect(said).toContain('Its turn is being ended: ordered by policy hard-stop (version 2), because: has run 47m');
    expect(said).toContain('confirming (1 request sent)');
    expect(said).toContain('curfew cases abandon sess_1');
  });

  it('says that it can’t be judged and why, and by how old a read an order goes', () => {
    const spell = {
      by: 'case',
      reason: 'too-slow',
      text: 'The read was 2300 ms old.',
      lastMs: NOW,
      told: true,
    } as const;
    const order = { ...openOrder, result: { ...openOrder.result, maxReadAgeMs: 10_000 } };
    const words = explainWords(
      explanation(seen('processing'), [], {
        orders: [order],
        unjudged: { ...spell, sessionId: 'sess_1', sinceMs: NOW - 3 * MINUTE },
      }),
    );
    expect(words).toContain('sess_1 could not be judged for 3 min');
    expect(words).toContain('curfew cancel sess_1 --even-if-read-is-old 10s');
    expect(words).toContain('(uses reads up to 10 s old)');
  });

  it('says that no worker is there to carry a policy out', () => {
    const said = explainWords(
      explanation(seen('processing'), [runtime45], { isScanning: false, scanAgeMs: 10 * MINUTE }),
    );
    expect(said).toContain('No worker has scanned for 10 min');
  });
});

describe('a session of an agent that no scan has listed', () => {
  const facts = seen('processing', { teamId: 'team_7' });
  const hours2 = policy({ limits: { max_runtime: 120 * MINUTE } });

  it('is not said to be ended: nobody watches it', () => {
    const unwatched = explanation(facts, [hours2], { agentWatched: false });
    expect(headline(unwatched)).toMatch(/^Nothing will end this session for now: .* no worker has seen its agent/);
    expect(explainWords(unwatched)).toContain('No scan has listed agent support-triage of team team_7');
    expect(explainDocument(unwatched)).toMatchObject({ agentWatched: false });
  });

  it.each<[string, Partial<Explanation>]>([
    ['a draft', { draft: 'draft.yaml', version: null }],
    ['no worker scans', { isScanning: false }],
    ['a watch looks at it itself', { watchedBy: 'import-job' }],
  ])('is explained as usual where that says nothing: %s', (_why, given) => {
    const said = explainWords(explanation(facts, [hours2], { agentWatched: false, ...given }));
    expect(said).toContain('ends its turn in');
    expect(said).not.toContain('No scan has listed');
  });
});

it('`explain --json` has every verdict with numbers and error bound', () => {
  const document = explainDocument(
    explanation(seen('processing'), [policy({ limits: { max_runtime: 30 * MINUTE } })]),
  ) as Record<string, unknown>;
  expect(document).toMatchObject({
    sessionId: 'sess_1',
    seen: { from: 'read', at: '2026-01-05T12:00:00.000Z', state: 'processing', agentName: 'support-triage' },
    turn: { key: 'msg_1', startedAt: '2026-01-05T11:20:00.000Z' },
    policyVersion: 3,
    verdicts: [
      {
        policy: 'no-all-nighters',
        kind: 'cancel',
        would: false,
        turnKey: 'msg_1',
        reasons: [{ limit: 'max_runtime', observed: 40 * MINUTE, limitValue: 30 * MINUTE, errorBound: 40 * MINUTE }],
        endsAt: '2026-01-05T12:00:00.000Z',
      },
    ],
    exemptUntil: null,
    orders: [],
  });
});

describe('a verdict in a table', () => {
  const standing = (
    given: Parameters<typeof policy>[0],
    facts = seen('processing'),
    exempt = false,
  ): PolicyStanding => {
    const [found] = standingsOf(facts, [policy(given)], NOW, { scanMs: SCAN_MS, exempt });
    if (found === undefined) throw new Error('A policy has a standing.');
    return found;
  };
  const half = { limits: { max_runtime: 30 * MINUTE } };

  it.each([
    ['end', 'now', standing(half)],
    ['would end', 'over', standing({ ...half, mode: 'observe' })],
    ['in grace', '2 min', standing({ ...half, graceMs: 2 * MINUTE })],
    ['warn', '10 min', standing({ limits: { max_runtime: 50 * MINUTE }, warnAt: 0.5 })],
    ['keep', '50 min', standing({ limits: { max_runtime: 90 * MINUTE } })],
    ['exempt', '', standing(half, seen('processing'), true)],
    ['undecided', '?', standing({ limits: { max_credits: 10 } })],
    ['not matching', '', standing({ ...half, match: { agents: ['sales'] } })],
    ['keep', '', standing(half, seen('completed'))],
  ])('is "%s", left "%s"', (name, left, of) => {
    expect([verdictName(of), leftWords(of, NOW)]).toEqual([name, left]);
  });

  it('gives a range while nobody knows when the turn began', () => {
    const before = observe(null, absentFromLists(NOW - 10 * MINUTE), { scanMs: SCAN_MS });
    const unnamed = observe(before, fromListItem(session('processing'), NOW), { scanMs: SCAN_MS });
    expect(leftWords(standing({ limits: { max_runtime: 45 * MINUTE } }, unnamed), NOW)).toBe('35 min to 45 min');
  });

  it('goes on counting after the last sight', () => {
    const [of] = standingsOf(seen('processing'), [policy({ limits: { max_runtime: 45 * MINUTE } })], NOW + MINUTE, {
      scanMs: SCAN_MS,
    });
    expect(of?.limits[0]).toMatchObject({ observed: 41 * MINUTE, left: 4 * MINUTE, leastLeft: 4 * MINUTE });
    expect(of?.endsAtMs).toBe(NOW + 5 * MINUTE);
  });
});

it('all that is said is plain text where colours are off', () => {
  const said = explainWords(explanation(seen('processing'), [policy({ limits: { max_runtime: 30 * MINUTE } })]));
  expect(stripVTControlCharacters(said)).toContain('policy no-all-nighters (enforce): end');
});
