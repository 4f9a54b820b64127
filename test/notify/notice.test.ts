import { describe, expect, it } from '@jest/globals';
import type { Item } from '../../src/adapters/ledger/deliveries.js';
import { TOLD_EVENTS, TOLD_OUTCOMES, type ToldKind } from '../../src/core/told.js';
import { ALERTS, type EventKind } from '../../src/core/events.js';
import { noticeOf } from '../../src/engines/notify/notice.js';
import { aFleetItem, anItem, anOrder, AT, VERDICT } from './items.js';

/** A notice as a person reads it. */
function wordsOf(item: Item): string[] {
  const { title, lines, remedies } = noticeOf(item);
  return [
    title,
    ...lines,
    ...remedies.map(({ purpose, command }) => (command === null ? purpose : `${purpose}: ${command}`)),
  ];
}

const EXEMPT = 'Let it run on: curfew exempt sess_1 --for 2h --reason "why it may"';
const EXEMPT_NEXT = 'Let its next turns run: curfew exempt sess_1 --for 2h --reason "why it may"';
const EXPLAIN = 'See why: curfew explain sess_1';
const RULE = 'Rule `no-all-nighters`, version 3, limit `max_runtime`.';
const ORDERED = 'Session `sess_1` of agent `agent_support`:';

const EXAMPLES: readonly (readonly [string, Item, readonly string[]])[] = [
  [
    'a warning before the limit',
    anItem('warned', VERDICT),
    [
      'Warning',
      'Session `sess_1` of agent `support-bot`: has run 36m, limit 45m (+10s).',
      RULE,
      'At the limit its turn will be ended.',
      EXEMPT,
      EXPLAIN,
    ],
  ],
  [
    'a warning in grace',
    anItem('warned', { ...VERDICT, graceUntil: '2026-01-05T12:49:15.000Z' }),
    [
      'Warning',
      'Session `sess_1` of agent `support-bot`: has run 36m, limit 45m (+10s).',
      RULE,
      'Over the limit, in grace until 2026-01-05 12:49:15 UTC. Then its turn will be ended.',
      EXEMPT,
      EXPLAIN,
    ],
  ],
  [
    'a warning of a policy that only observes',
    anItem('warned', { ...VERDICT, mode: 'observe' }),
    [
      'Warning',
      'Session `sess_1` of agent `support-bot`: has run 36m, limit 45m (+10s).',
      RULE,
      'The policy only observes: nothing will be ended.',
      EXEMPT,
      EXPLAIN,
    ],
  ],
  [
    'a turn that would be ended',
    anItem('would-end', { ...VERDICT, mode: 'observe', text: 'has run 47m 12s, limit 45m (+15s)' }),
    [
      'Would end',
      'Session `sess_1` of agent `support-bot`: has run 47m 12s, limit 45m (+15s).',
      RULE,
      'Nothing was ended: the policy only observes.',
      EXEMPT,
      EXPLAIN,
    ],
  ],
  [
    'a turn that would be ended, were the breaker closed',
    anItem('would-end', { ...VERDICT, mode: 'observe', breaker: 'open' }),
    [
      'Would end',
      'Session `sess_1` of agent `support-bot`: has run 36m, limit 45m (+10s).',
      RULE,
      'Nothing was ended: the breaker of the policy is open.',
      EXEMPT,
      EXPLAIN,
    ],
  ],
  [
    'an ended turn',
    anItem('cancelled', {}, anOrder({ outcome: 'cancelled', attribution: 'strong', endedAtMs: AT })),
    [
      'Session ended',
      `${ORDERED} has run 47m 12s, limit 45m (+15s).`,
      RULE,
      'Its turn was ended by Curfew. It was seen over at 2026-01-05 12:47:15 UTC, after 1 cancel request.',
      EXEMPT_NEXT,
      EXPLAIN,
    ],
  ],
  [
    'a turn that was probably ended by us',
    anItem('cancelled', {}, anOrder({ outcome: 'cancelled', attribution: 'probable', attempts: 2, endedAtMs: AT })),
    [
      'Session ended',
      `${ORDERED} has run 47m 12s, limit 45m (+15s).`,
      RULE,
      'Its turn was ended by Curfew, as far as can be told. It was seen over at 2026-01-05 12:47:15 UTC, after 2 cancel requests.',
      EXEMPT_NEXT,
      EXPLAIN,
    ],
  ],
  [
    'a turn that ended, nobody knows how',
    anItem('ended-unattributed', {}, anOrder({ outcome: 'ended-unattributed' })),
    [
      'Session ended',
      `${ORDERED} has run 47m 12s, limit 45m (+15s).`,
      RULE,
      'Its turn is over; whether our request ended it is unknown.',
      EXEMPT_NEXT,
      EXPLAIN,
    ],
  ],
  [
    'a restart',
    anItem('restarted', { turnKey: 'msg_3', state: 'processing' }, anOrder()),
    [
      'Started again',
      `${ORDERED} another turn was seen after the one that was to end (processing). It is left alone, unless the rule has \`on_restart: cancel\`.`,
      RULE,
      EXEMPT,
      EXPLAIN,
      'End the new turn: curfew cancel sess_1',
    ],
  ],
  [
    'a turn that does not end',
    anItem('not-ending', { triedForMs: 300_000 }, anOrder()),
    [
      'Does not end',
      `${ORDERED} its turn could not be ended in 5m of trying. Curfew keeps trying.`,
      'It was to end: has run 47m 12s, limit 45m (+15s).',
      RULE,
      'See the case: curfew cases sess_1',
      EXEMPT,
    ],
  ],
  [
    'a turn whose case Temporal does not start',
    anItem('not-ending', { why: 'Temporal does not start its case: WorkflowId length exceeds limit' }, anOrder()),
    [
      'Does not end',
      `${ORDERED} its turn could not be ended. Curfew keeps trying.`,
      'In the way: Temporal does not start its case: WorkflowId length exceeds limit.',
      'It was to end: has run 47m 12s, limit 45m (+15s).',
      RULE,
      'See the case: curfew cases sess_1',
      EXEMPT,
    ],
  ],
  [
    'a session whose orders can not be judged',
    anItem(
      'not-judgeable',
      { reason: 'too-slow', text: 'The read was 2300 ms old.', since: '2026-01-05T11:58:00.000Z', by: 'case' },
      anOrder(),
    ),
    [
      'Can’t be judged',
      `${ORDERED} it can’t be read in time since 2026-01-05 11:58:00 UTC. What can’t be judged does not end; Curfew keeps trying.`,
      'In the way: The read was 2300 ms old.',
      RULE,
      'If reads come, but too late, and it should end anyway: curfew cancel sess_1 --even-if-read-is-old 10s',
      'See the case: curfew cases sess_1',
      EXEMPT,
    ],
  ],
  [
    'a session that a scan can not judge',
    anItem('not-judgeable', { reason: 'timeout', text: 'not answered in time', by: 'fleet' }),
    [
      'Can’t be judged',
      'Session `sess_1`: it can’t be read in time. What can’t be judged does not end; Curfew keeps trying.',
      'In the way: not answered in time.',
      'If reads come, but too late, and it should end anyway: curfew cancel sess_1 --even-if-read-is-old 10s',
      EXPLAIN,
      EXEMPT,
    ],
  ],
  [
    'many sessions that can not be judged',
    anItem('not-judgeable', { reason: 'timeout', text: 'not answered in time', sessions: 6 }),
    [
      'Can’t be judged',
      '6 sessions can’t be judged now: reads of them fail, or come too late. None of them ends meanwhile. You get no separate notice for those that follow.',
      'In the way: not answered in time.',
      'See which: curfew status',
      'Find out what is wrong: curfew doctor',
    ],
  ],
  [
    'a turn that was given up',
    anItem('retries-exhausted', { triedForMs: 86_400_000 }, anOrder()),
    [
      'Given up',
      `${ORDERED} its turn could not be ended in 1d of trying, and was given up. As far as is known IT STILL RUNS.`,
      'It was to end: has run 47m 12s, limit 45m (+15s).',
      RULE,
      "End it in the vendor's own interface, or through its support.",
      'Try again: curfew cancel sess_1',
    ],
  ],
  [
    "a person's order on a forbidden session",
    anItem(
      'forbidden',
      {},
      anOrder({
        agentId: null,
        requestedBy: 'ops@example.com',
        reason: { text: 'Ticket 7', policy: null, policyVersion: null, limit: null, observed: null },
      }),
    ),
    [
      'Forbidden',
      'Session `sess_1`: the vendor does not let our key end it (403). It keeps running.',
      'It was to end: Ticket 7.',
      'Ordered by `ops@example.com`.',
      'Give the key update access to the agent.',
      'Then order again: curfew cancel sess_1',
    ],
  ],
  [
    'a session of a bulk job that can’t be ended',
    anItem('forbidden', { on: 'cancel', status: 404, code: 'not_found', plan: 'b-1' }, anOrder()),
    [
      'Forbidden',
      `${ORDERED} the vendor does not let our key end it (404 not_found). It keeps running.`,
      'It was to end: has run 47m 12s, limit 45m (+15s).',
      'Other sessions of the bulk job `b-1` may meet the same; `curfew bulk report b-1` has them all.',
      RULE,
      'See the case: curfew cases sess_1',
      'Then order again: curfew cancel sess_1',
    ],
  ],
  [
    'a session that is gone',
    anItem('gone', {}, anOrder()),
    [
      'Not found',
      `${ORDERED} the vendor no longer finds it (404 on two reads). Whether its turn ended was not seen.`,
      RULE,
      'Check that the key may still see the agent.',
      EXPLAIN,
    ],
  ],
  [
    'a newer turn that was perhaps hit',
    anItem('may-have-hit-newer-turn', { turnKey: 'msg_3' }, anOrder()),
    [
      'Newer turn perhaps hit',
      `${ORDERED} a turn that began around our cancel request is over, and not by a normal end. The request was meant for the turn before it, and may have ended this one.`,
      RULE,
      'Tell the owner of the session, who may want to send the last message again.',
      'See the case: curfew cases sess_1',
    ],
  ],
  [
    'a breaker that opened by number',
    aFleetItem('breaker-opened', {
      ...{ policy: 'no-all-nighters', cap: 'max_cancels', capValue: 20, taken: 20, perMs: 3_600_000 },
      liveSessions: null,
    }),
    [
      'Breaker opened',
      'Policy `no-all-nighters` has used up its cap: it ended 20 turns within 1h, and max_cancels is 20.',
      'It ends nothing more and only observes. Cases that have already sent a request continue.',
      'See what it ended: curfew history',
      'If that was right, let it continue: curfew policy resume no-all-nighters',
    ],
  ],
  [
    'a breaker that opened by percentage',
    aFleetItem('breaker-opened', {
      ...{ policy: 'no-all-nighters', cap: 'max_percent', capValue: 25, taken: 12, perMs: 3_600_000 },
      liveSessions: 36,
    }),
    [
      'Breaker opened',
      'Policy `no-all-nighters` has used up its cap: it ended 12 turns within 1h (36 sessions are live), and max_percent is 25%.',
      'It ends nothing more and only observes. Cases that have already sent a request continue.',
      'See what it ended: curfew history',
      'If that was right, let it continue: curfew policy resume no-all-nighters',
    ],
  ],
  [
    'a breaker that was closed',
    aFleetItem('breaker-closed', { policy: 'no-all-nighters', by: 'ops@example.com' }),
    [
      'Breaker closed',
      'Policy `no-all-nighters` acts again as its file says: its breaker was closed by `ops@example.com`. Its caps count from now.',
    ],
  ],
  [
    'a refused key',
    aFleetItem('account-refused', { error: 'unauthorized', status: 401, code: null, message: 'listAgents: 401' }),
    [
      'Key refused',
      'The vendor refuses our key or account (401): no session can be read or ended. Orders are kept, and continue by themselves when the key works again.',
      'It says: listAgents: 401',
      'Check the key and the plan of the account; set a new key if need be.',
      'Find out what is wrong: curfew doctor',
    ],
  ],
  [
    'a key that works again',
    aFleetItem('account-accepted'),
    ['Key works again', 'The vendor accepts our key again. What was held continues.'],
  ],
  [
    'lost coverage',
    aFleetItem('coverage-lost', { problem: 'HTTP 503', unreadable: 1, since: '2026-01-05T12:00:00.000Z' }),
    [
      'Coverage lost',
      "There was no complete scan of the fleet since 2026-01-05 12:00:00 UTC: some sessions are not watched. What can't be seen does not end.",
      'The sessions of 1 agent could not be listed.',
      'Problem: HTTP 503',
      'See what is watched: curfew status',
      'Find out what is wrong: curfew doctor',
    ],
  ],
  [
    'restored coverage',
    aFleetItem('coverage-restored'),
    ['Coverage restored', 'Scans of the fleet are complete again.'],
  ],
  [
    'a cleanup that could not look at the fleet',
    aFleetItem('cleanup-failed', { cleanup: 'stale-queue', text: 'listAgents failed: unauthorized (401)' }),
    [
      'Cleanup failed',
      'Cleanup `stale-queue` could not look for what to end, and gave up this run. It ended nothing; the next run is as scheduled.',
      'Problem: listAgents failed: unauthorized (401)',
      'Find out what is wrong: curfew doctor',
      'Then run it without waiting: curfew cleanup run stale-queue',
    ],
  ],
  [
    'a cleanup whose Schedule Temporal refuses',
    aFleetItem('cleanup-failed', {
      ...{ cleanup: 'stale-queue', why: 'schedule-refused', earlierStands: true },
      text: 'unknown time zone PST',
    }),
    [
      'Cleanup not scheduled',
      'Temporal refuses the Schedule of cleanup `stale-queue`: it still runs at its earlier times. If the policy file is at fault, correct and apply it.',
      'Temporal says: unknown time zone PST',
      'See all cleanups: curfew cleanup list',
      'Run it by hand meanwhile: curfew cleanup run stale-queue',
    ],
  ],
  [
    'a trigger that is off after runs of it were ended',
    aFleetItem('trigger-switched-off', {
      ...{ agentId: 'agent_1', triggerId: 'trg_nightly', triggerType: 'schedule', maxFailures: 3, ended: 3 },
      sessions: ['sess_1', 'sess_2', 'sess_3'],
    }),
    [
      'Trigger off',
      'Trigger `trg_nightly` of agent `agent_1` is off. Curfew asked to end 3 of its sessions before that.',
      'The vendor switches a trigger off after 3 failed runs in a row, and may count a cancelled run as failed. It starts no more sessions.',
      'Find out why its sessions ran over a limit, then switch it on again at the vendor. A person may have switched it off as well.',
      'See what was ended: curfew history --since 1d',
    ],
  ],
  [
    'a cleanup over its caps',
    aFleetItem('cleanup-capped', {
      ...{ cleanup: 'stale-queue', plan: 'b-1', selected: 80, capped: 30 },
      text: '80 turns to end, of which its caps allow 50.',
    }),
    [
      'Cleanup capped',
      'Cleanup `stale-queue` found more than its caps let it end; the rest is left alone until its next run.',
      '80 turns to end, of which its caps allow 50.',
      'See what it ends: curfew bulk status b-1',
      'See what it would end now: curfew cleanup run stale-queue --dry-run',
    ],
  ],
  [
    'a bulk job that was started',
    aFleetItem('bulk-applied', {
      ...{ plan: 'b-1', by: 'ops@example.com', targets: 4000, rate: 20, canary: 10, fast: true, reason: 'incident 42' },
    }),
    [
      'Bulk job started',
      '`ops@example.com` began to end the turns of 4000 sessions, at most 20/s: bulk job `b-1`.',
      'It sends without the read before each cancel (`--fast`).',
      'Why: incident 42.',
      'Follow it: curfew bulk status b-1 --watch',
      'Pause it: curfew bulk pause b-1',
    ],
  ],
  [
    'a bulk job that stopped itself',
    aFleetItem('bulk-stopped', { plan: 'b-1', why: '6 of the first 10 did not end.' }),
    [
      'Bulk job stopped itself',
      'Bulk job `b-1` went badly and paused itself. It sends nothing more until an operator resumes it.',
      '6 of the first 10 did not end.',
      'See what went wrong: curfew bulk report b-1',
      'When that is fixed, resume it: curfew bulk resume b-1',
      'Or leave the rest untouched, for good: curfew bulk abort b-1',
    ],
  ],
  [
    'a bulk job that was paused',
    aFleetItem('bulk-paused', { plan: 'b-1', by: 'ops@example.com', reason: null }),
    [
      'Bulk job paused',
      '`ops@example.com` paused bulk job `b-1`. Nothing more of it is sent.',
      'Resume it: curfew bulk resume b-1',
    ],
  ],
  [
    'a bulk job that goes on',
    aFleetItem('bulk-resumed', { plan: 'b-1', by: 'ops@example.com' }),
    ['Bulk job resumed', '`ops@example.com` resumed bulk job `b-1`.', 'Pause it: curfew bulk pause b-1'],
  ],
  [
    'a bulk job that was aborted',
    aFleetItem('bulk-aborted', { plan: 'b-1', by: 'ops@example.com', reason: 'wrong agents' }),
    [
      'Bulk job aborted',
      '`ops@example.com` ended bulk job `b-1` for good. Targets without a request stay untouched.',
      'Why: wrong agents.',
      'See what became of each: curfew bulk report b-1',
    ],
  ],
  [
    'a bulk job that is through',
    aFleetItem('bulk-finished', { plan: 'b-1', byStatus: { waiting: 0, cancelled: 3990, case: 10 }, requests: 4000 }),
    [
      'Bulk job finished',
      'Bulk job `b-1` has sent all it had to send. Its targets: 3990 cancelled, 10 in cases that continue.',
      'See what became of each: curfew bulk report b-1',
    ],
  ],
];

describe('a notice', () => {
  it.each(EXAMPLES)('tells of %s: who, what, which rule, the numbers, and what to do', (_name, item, words) => {
    expect(wordsOf(item)).toEqual(words);
  });

  it('has an example here for each kind', () => {
    const kinds = new Set<ToldKind>(EXAMPLES.map(([, { kind }]) => kind));
    expect([...TOLD_EVENTS, ...TOLD_OUTCOMES].filter((kind) => !kinds.has(kind))).toEqual([]);
  });

  it('leaves no alert untold', () => {
    expect([...ALERTS].filter((kind) => !TOLD_EVENTS.some((told: EventKind) => told === kind))).toEqual([]);
  });

  it('says for programs what it says for people', () => {
    expect(noticeOf(anItem('warned', VERDICT))).toMatchObject({
      id: 'event/7',
      type: 'curfew.session.warned',
      alert: false,
      policy: 'no-all-nighters',
      policyVersion: 3,
      agentName: 'support-bot',
      turnKey: 'msg_2',
    });
    expect(noticeOf(anItem('not-ending', {}, anOrder()))).toMatchObject({ alert: true, policyVersion: 3 });
  });

  it('needs nothing that an event of another version may lack', () => {
    for (const kind of [...TOLD_EVENTS, ...TOLD_OUTCOMES]) {
      const odd = { policy: 7, text: null, graceUntil: 'soon', triedForMs: '5', since: {}, state: ['x'] };
      for (const data of [{}, odd])
        expect(wordsOf(aFleetItem(kind, data)).join('\n')).not.toMatch(/undefined|NaN|object/);
    }
  });

  it('keeps a name from ending its quotation, its line, or the direction of reading', () => {
    const [, line] = wordsOf(anItem('warned', { ...VERDICT, agentName: 'a`b\nSession `x`\u202e ' + 'z'.repeat(500) }));
    expect(line).toMatch(/^Session `sess_1` of agent `a'b Session 'x' z+…`: has run 36m/);
    expect(line?.length).toBeLessThan(250);
  });

  it('gives no command that does something else in a shell', () => {
    const item = { ...anItem('warned', VERDICT), sessionId: "x';reboot;$(id)" };
    expect(wordsOf(item)).toContain(`See why: curfew explain 'x'\\'';reboot;$(id)'`);
    expect(wordsOf({ ...item, sessionId: '--help' })).toContain(`See why: curfew explain '--help'`);
  });
});
