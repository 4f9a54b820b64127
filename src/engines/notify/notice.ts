import { rateWords } from '../../core/bulk/rate.js';
import type { Item } from '../../adapters/ledger/deliveries.js';
import type { ToldKind } from '../../core/told.js';
import { ALERTS, type EventKind } from '../../core/events.js';
import { durationText } from '../../core/policy/reason.js';
import { shellWord } from '../../core/text/shell.js';
import { joined, LONGEST_NAME, untrusted, words, type Printable, type Untrusted } from '../../core/text/printable.js';
import { moment, plain, quoted } from './words.js';

/** Something that a person can do about it, and the command for it. */
export interface Remedy {
  readonly purpose: Printable;
  /** Null: nothing of ours does it. */
  readonly command: Printable | null;
}

/** One item as people and programs are told it. */
export interface Notice {
  /** The item's key: stable, and unique in one ledger. */
  readonly id: string;
  /** For programs: `curfew.session.warned`. */
  readonly type: NoticeType;
  readonly atMs: number;
  /** Wants a person now. */
  readonly alert: boolean;
  /** Two or three words. */
  readonly title: Printable;
  /** What happened, by which rule, with the numbers. Names are in backticks. */
  readonly lines: readonly Printable[];
  readonly remedies: readonly Remedy[];
  /** Null: about no policy. */
  readonly policy: Untrusted | null;
  readonly policyVersion: number | null;
  readonly agentId: Untrusted | null;
  readonly agentName: Untrusted | null;
  readonly turnKey: Untrusted | null;
  readonly item: Item;
}

const NOTICE_TYPES = {
  warned: 'curfew.session.warned',
  'would-end': 'curfew.session.would_end',
  cancelled: 'curfew.session.ended',
  'ended-unattributed': 'curfew.session.ended',
  restarted: 'curfew.session.restarted',
  'not-ending': 'curfew.session.not_ending',
  'not-judgeable': 'curfew.session.not_judgeable',
  'retries-exhausted': 'curfew.session.retries_exhausted',
  forbidden: 'curfew.session.forbidden',
  gone: 'curfew.session.gone',
  'may-have-hit-newer-turn': 'curfew.session.newer_turn_perhaps_hit',
  'breaker-opened': 'curfew.breaker.opened',
  'breaker-closed': 'curfew.breaker.closed',
  'account-refused': 'curfew.account.refused',
  'account-accepted': 'curfew.account.accepted',
  'coverage-lost': 'curfew.coverage.lost',
  'coverage-restored': 'curfew.coverage.restored',
  'cleanup-failed': 'curfew.cleanup.failed',
  'cleanup-capped': 'curfew.cleanup.capped',
  'trigger-switched-off': 'curfew.trigger.switched_off',
  'bulk-applied': 'curfew.bulk.applied',
  'bulk-stopped': 'curfew.bulk.stopped',
  'bulk-paused': 'curfew.bulk.paused',
  'bulk-resumed': 'curfew.bulk.resumed',
  'bulk-aborted': 'curfew.bulk.aborted',
  'bulk-finished': 'curfew.bulk.finished',
} as const satisfies Record<ToldKind, string>;
type NoticeType = (typeof NOTICE_TYPES)[ToldKind];

type Words = Pick<Notice, 'title' | 'lines' | 'remedies'>;

/** Puts an item into words. The same item always gives the same words. */
export function noticeOf(item: Item): Notice {
  const { data, order } = item;
  return {
    id: item.key,
    type: NOTICE_TYPES[item.kind],
    atMs: item.atMs,
    alert: ALERTS.has(item.kind as EventKind),
    ...WORDS[item.kind](item),
    policy: textOf(data, 'policy') ?? ofOthers(order?.reason.policy),
    policyVersion: numberOf(data, 'policyVersion') ?? order?.reason.policyVersion ?? null,
    agentId: textOf(data, 'agentId') ?? ofOthers(order?.agentId),
    agentName: textOf(data, 'agentName'),
    turnKey: textOf(data, 'turnKey') ?? ofOthers(order?.turnKey),
    item,
  };
}

const WORDS: Readonly<Record<ToldKind, (item: Item) => Words>> = {
  warned: (item) => {
    const graceUntil = textOf(item.data, 'graceUntil');
    const observes = item.data['mode'] === 'observe';
    const then = observes ? words`The policy only observes: nothing will be ended.` : null;
    const grace = graceUntil === null ? null : words`Over the limit, in grace until ${momentOf(graceUntil)}.`;
    const next = grace === null ? words`At the limit its turn will be ended.` : words`Then its turn will be ended.`;
    return {
      title: words`Warning`,
      lines: [words`${sessionOf(item)} ${numbersOf(item)}`, ruleOf(item), sentences(grace, then ?? next)],
      remedies: [...exempting(item), ...explaining(item)],
    };
  },
  'would-end': (item) => ({
    title: words`Would end`,
    lines: [
      words`${sessionOf(item)} ${numbersOf(item)}`,
      ruleOf(item),
      item.data['breaker'] === 'open'
        ? words`Nothing was ended: the breaker of the policy is open.`
        : words`Nothing was ended: the policy only observes.`,
    ],
    remedies: [...exempting(item), ...explaining(item)],
  }),
  cancelled: (item) => ({
    title: words`Session ended`,
    lines: [
      words`${sessionOf(item)} ${numbersOf(item)}`,
      ruleOf(item),
      words`Its turn was ended by Curfew${item.order?.attribution === 'probable' ? ', as far as can be told' : ''}.${endingOf(item)}`,
    ],
    remedies: [...exempting(item, words`Let its next turns run`), ...explaining(item)],
  }),
  'ended-unattributed': (item) => ({
    title: words`Session ended`,
    lines: [
      words`${sessionOf(item)} ${numbersOf(item)}`,
      ruleOf(item),
      words`Its turn is over; whether our request ended it is unknown.${endingOf(item)}`,
    ],
    remedies: [...exempting(item, words`Let its next turns run`), ...explaining(item)],
  }),
  restarted: (item) => ({
    title: words`Started again`,
    lines: [
      words`${sessionOf(item)} another turn was seen after the one that was to end${stateOf(item)}. It is left alone, unless the rule has \`on_restart: cancel\`.`,
      ruleOf(item),
    ],
    remedies: [...exempting(item), ...explaining(item), ...ending(words`End the new turn`, item)],
  }),
  'not-ending': (item) => ({
    title: words`Does not end`,
    lines: [
      words`${sessionOf(item)} its turn could not be ended${triedFor(item)}. Curfew keeps trying.`,
      ...hindranceOf(item),
      ...whyOf(item),
      ...othersOfJob(item),
      ruleOf(item),
    ],
    remedies: [caseOf(item), ...exempting(item)],
  }),
  'not-judgeable': (item) => {
    const sessions = numberOf(item.data, 'sessions');
    if (sessions !== null) {
      return {
        title: words`Can’t be judged`,
        lines: [
          words`${sessions} sessions can’t be judged now: reads of them fail, or come too late. None of them ends meanwhile. You get no separate notice for those that follow.`,
          ...hindranceOf(item, 'text'),
        ],
        remedies: [
          { purpose: words`See which`, command: words`curfew status` },
          { purpose: words`Find out what is wrong`, command: words`curfew doctor` },
        ],
      };
    }
    const since = textOf(item.data, 'since');
    return {
      title: words`Can’t be judged`,
      lines: [
        words`${sessionOf(item)} it can’t be read in time${since === null ? '' : words` since ${momentOf(since)}`}. What can’t be judged does not end; Curfew keeps trying.`,
        ...hindranceOf(item, 'text'),
        ...(item.order === null ? [] : [ruleOf(item)]),
      ],
      remedies: [
        ...(item.sessionId === null
          ? []
          : [
              {
                purpose: words`If reads come, but too late, and it should end anyway`,
                command: words`curfew cancel ${shellWord(item.sessionId)} --even-if-read-is-old 10s`,
              },
            ]),
        ...(item.order === null ? explaining(item) : [caseOf(item)]),
        ...exempting(item),
      ],
    };
  },
  'retries-exhausted': (item) => ({
    title: words`Given up`,
    lines: [
      words`${sessionOf(item)} its turn could not be ended${triedFor(item)}, and was given up. As far as is known IT STILL RUNS.`,
      ...whyOf(item),
      ...othersOfJob(item),
      ruleOf(item),
    ],
    remedies: [
      { purpose: words`End it in the vendor's own interface, or through its support.`, command: null },
      ...ending(words`Try again`, item),
    ],
  }),
  forbidden: (item) => ({
    title: words`Forbidden`,
    lines: [
      words`${sessionOf(item)} the vendor does not let our key ${item.data['on'] === 'read' ? 'see' : 'end'} it (${refusalOf(item)}). It keeps running.`,
      ...whyOf(item),
      ...othersOfJob(item),
      ruleOf(item),
    ],
    remedies: [
      ...((numberOf(item.data, 'status') ?? 403) === 403
        ? [{ purpose: words`Give the key update access to the agent.`, command: null }]
        : [caseOf(item)]),
      ...ending(words`Then order again`, item),
    ],
  }),
  gone: (item) => ({
    title: words`Not found`,
    lines: [
      words`${sessionOf(item)} the vendor no longer finds it (404 on two reads). Whether its turn ended was not seen.`,
      ...othersOfJob(item),
      ruleOf(item),
    ],
    remedies: [{ purpose: words`Check that the key may still see the agent.`, command: null }, ...explaining(item)],
  }),
  'may-have-hit-newer-turn': (item) => ({
    title: words`Newer turn perhaps hit`,
    lines: [
      words`${sessionOf(item)} a turn that began around our cancel request is over, and not by a normal end. The request was meant for the turn before it, and may have ended this one.`,
      ruleOf(item),
    ],
    remedies: [
      { purpose: words`Tell the owner of the session, who may want to send the last message again.`, command: null },
      caseOf(item),
    ],
  }),
  'breaker-opened': ({ data }) => {
    const policy = textOf(data, 'policy') ?? '?';
    const [taken, cap, perMs, live] = ['taken', 'capValue', 'perMs', 'liveSessions'].map((key) => numberOf(data, key));
    const percent = data['cap'] === 'max_percent';
    const of = percent && live != null ? words` (${live} sessions are live)` : '';
    const window = perMs == null ? '' : words` within ${plain(durationText(perMs))}`;
    return {
      title: words`Breaker opened`,
      lines: [
        words`Policy ${quoted(policy)} has used up its cap: it ended ${taken ?? '?'} turns${window}${of}, and ${percent ? 'max_percent' : 'max_cancels'} is ${cap ?? '?'}${percent ? '%' : ''}.`,
        words`It ends nothing more and only observes. Cases that have already sent a request continue.`,
      ],
      remedies: [
        { purpose: words`See what it ended`, command: words`curfew history` },
        {
          purpose: words`If that was right, let it continue`,
          command: words`curfew policy resume ${shellWord(policy)}`,
        },
      ],
    };
  },
  'breaker-closed': ({ data }) => ({
    title: words`Breaker closed`,
    lines: [
      words`Policy ${quoted(textOf(data, 'policy') ?? '?')} acts again as its file says: its breaker was closed by ${quoted(textOf(data, 'by') ?? '?')}. Its caps count from now.`,
    ],
    remedies: [],
  }),
  'account-refused': ({ data }) => {
    const status = numberOf(data, 'status');
    const message = textOf(data, 'message');
    return {
      title: words`Key refused`,
      lines: [
        words`The vendor refuses our key or account${status === null ? '' : words` (${status})`}: no session can be read or ended. Orders are kept, and continue by themselves when the key works again.`,
        ...(message === null ? [] : [words`It says: ${plain(message)}`]),
      ],
      remedies: [
        { purpose: words`Check the key and the plan of the account; set a new key if need be.`, command: null },
        { purpose: words`Find out what is wrong`, command: words`curfew doctor` },
      ],
    };
  },
  'account-accepted': () => ({
    title: words`Key works again`,
    lines: [words`The vendor accepts our key again. What was held continues.`],
    remedies: [],
  }),
  'coverage-lost': ({ data }) => {
    const problem = textOf(data, 'problem');
    const unreadable = numberOf(data, 'unreadable');
    const since = textOf(data, 'since');
    return {
      title: words`Coverage lost`,
      lines: [
        words`There was no complete scan of the fleet${since === null ? '' : words` since ${momentOf(since)}`}: some sessions are not watched. What can't be seen does not end.`,
        ...(unreadable === null || unreadable === 0
          ? []
          : [words`The sessions of ${unreadable} ${unreadable === 1 ? 'agent' : 'agents'} could not be listed.`]),
        ...(problem === null ? [] : [words`Problem: ${plain(problem)}`]),
      ],
      remedies: [
        { purpose: words`See what is watched`, command: words`curfew status` },
        { purpose: words`Find out what is wrong`, command: words`curfew doctor` },
      ],
    };
  },
  'coverage-restored': () => ({
    title: words`Coverage restored`,
    lines: [words`Scans of the fleet are complete again.`],
    remedies: [],
  }),
  'cleanup-failed': ({ data }) => {
    const cleanup = textOf(data, 'cleanup') ?? '?';
    const problem = textOf(data, 'text');
    if (data['why'] === 'schedule-refused') {
      const then = data['earlierStands'] === true ? 'it still runs at its earlier times' : 'it does not run';
      return {
        title: words`Cleanup not scheduled`,
        lines: [
          words`Temporal refuses the Schedule of cleanup ${quoted(cleanup)}: ${then}. If the policy file is at fault, correct and apply it.`,
          ...(problem === null ? [] : [words`Temporal says: ${plain(problem)}`]),
        ],
        remedies: [
          { purpose: words`See all cleanups`, command: words`curfew cleanup list` },
          { purpose: words`Run it by hand meanwhile`, command: words`curfew cleanup run ${shellWord(cleanup)}` },
        ],
      };
    }
    return {
      title: words`Cleanup failed`,
      lines: [
        words`Cleanup ${quoted(cleanup)} could not look for what to end, and gave up this run. It ended nothing; the next run is as scheduled.`,
        ...(problem === null ? [] : [words`Problem: ${plain(problem)}`]),
      ],
      remedies: [
        { purpose: words`Find out what is wrong`, command: words`curfew doctor` },
        { purpose: words`Then run it without waiting`, command: words`curfew cleanup run ${shellWord(cleanup)}` },
      ],
    };
  },
  'trigger-switched-off': ({ data }) => {
    const trigger = textOf(data, 'triggerId') ?? '?';
    const agent = textOf(data, 'agentId') ?? '?';
    const ended = numberOf(data, 'ended') ?? 0;
    const most = numberOf(data, 'maxFailures');
    return {
      title: words`Trigger off`,
      lines: [
        words`Trigger ${quoted(trigger)} of agent ${quoted(agent)} is off. Curfew asked to end ${ended} of its sessions before that.`,
        words`The vendor switches a trigger off after ${most === null ? 'a number of' : most} failed runs in a row, and may count a cancelled run as failed. It starts no more sessions.`,
        words`Find out why its sessions ran over a limit, then switch it on again at the vendor. A person may have switched it off as well.`,
      ],
      remedies: [{ purpose: words`See what was ended`, command: words`curfew history --since 1d` }],
    };
  },
  'cleanup-capped': ({ data }) => {
    const cleanup = textOf(data, 'cleanup') ?? '?';
    const plan = textOf(data, 'plan');
    const text = textOf(data, 'text');
    return {
      title: words`Cleanup capped`,
      lines: [
        words`Cleanup ${quoted(cleanup)} found more than its caps let it end; the rest is left alone until its next run.`,
        ...(text === null ? [] : [closed(text)]),
      ],
      remedies: [
        ...(plan === null
          ? []
          : [{ purpose: words`See what it ends`, command: words`curfew bulk status ${shellWord(plan)}` }]),
        {
          purpose: words`See what it would end now`,
          command: words`curfew cleanup run ${shellWord(cleanup)} --dry-run`,
        },
      ],
    };
  },
  'bulk-applied': ({ data }) => {
    const [targets, rate] = [numberOf(data, 'targets'), numberOf(data, 'rate')];
    const turns = targets === 1 ? 'the turn of 1 session' : words`the turns of ${targets ?? 'many'} sessions`;
    const pace = rate === null ? '' : words`, at most ${plain(rateWords(rate))}`;
    return {
      title: words`Bulk job started`,
      lines: [
        words`${actorOf(data)} began to end ${turns}${pace}: bulk job ${jobOf(data)}.`,
        ...(data['fast'] === true ? [words`It sends without the read before each cancel (\`--fast\`).`] : []),
        ...becauseOf(data),
      ],
      remedies: [...onJob(data, words`Follow it`, 'status', ' --watch'), ...onJob(data, words`Pause it`, 'pause')],
    };
  },
  'bulk-stopped': ({ data }) => {
    const why = textOf(data, 'why');
    return {
      title: words`Bulk job stopped itself`,
      lines: [
        words`Bulk job ${jobOf(data)} went badly and paused itself. It sends nothing more until an operator resumes it.`,
        ...(why === null ? [] : [closed(why)]),
      ],
      remedies: [
        ...onJob(data, words`See what went wrong`, 'report'),
        ...onJob(data, words`When that is fixed, resume it`, 'resume'),
        ...onJob(data, words`Or leave the rest untouched, for good`, 'abort'),
      ],
    };
  },
  'bulk-paused': ({ data }) => ({
    title: words`Bulk job paused`,
    lines: [words`${actorOf(data)} paused bulk job ${jobOf(data)}. Nothing more of it is sent.`, ...becauseOf(data)],
    remedies: onJob(data, words`Resume it`, 'resume'),
  }),
  'bulk-resumed': ({ data }) => ({
    title: words`Bulk job resumed`,
    lines: [words`${actorOf(data)} resumed bulk job ${jobOf(data)}.`],
    remedies: onJob(data, words`Pause it`, 'pause'),
  }),
  'bulk-aborted': ({ data }) => ({
    title: words`Bulk job aborted`,
    lines: [
      words`${actorOf(data)} ended bulk job ${jobOf(data)} for good. Targets without a request stay untouched.`,
      ...becauseOf(data),
    ],
    remedies: onJob(data, words`See what became of each`, 'report'),
  }),
  'bulk-finished': ({ data }) => ({
    title: words`Bulk job finished`,
    lines: [words`Bulk job ${jobOf(data)} has sent all it had to send.${countsOf(data)}`],
    remedies: onJob(data, words`See what became of each`, 'report'),
  }),
};

/** Who gave the word. */
const actorOf = (data: Item['data']): Printable => quoted(textOf(data, 'by') ?? '?');

const jobOf = (data: Item['data']): Printable => quoted(textOf(data, 'plan') ?? '?');

const becauseOf = (data: Item['data']): Printable[] => {
  const reason = textOf(data, 'reason');
  return reason === null ? [] : [words`Why: ${closed(reason)}`];
};

function onJob(
  data: Item['data'],
  purpose: Printable,
  command: 'status' | 'report' | 'pause' | 'resume' | 'abort',
  options: '' | ' --watch' = '',
): Remedy[] {
  const plan = textOf(data, 'plan');
  return plan === null ? [] : [{ purpose, command: words`curfew bulk ${command} ${shellWord(plan)}${options}` }];
}

/** How many targets came to which outcome; those that a case works on have none yet. */
function countsOf(data: Item['data']): Printable | '' {
  const byStatus = data['byStatus'];
  if (typeof byStatus !== 'object' || byStatus === null) return '';
  const counts = Object.entries(byStatus).flatMap(([status, targets]) =>
    typeof targets === 'number' && targets > 0
      ? [status === 'case' ? words`${targets} in cases that continue` : words`${targets} ${plain(status, 40)}`]
      : [],
  );
  return counts.length === 0 ? '' : words` Its targets: ${joined(counts, ', ')}.`;
}

/** Who: the session, and whose agent it is. */
function sessionOf({ sessionId, data, order }: Item): Printable {
  const agent = textOf(data, 'agentName') ?? textOf(data, 'agentId') ?? order?.agentId ?? null;
  return words`Session ${quoted(sessionId ?? '?')}${agent === null ? '' : words` of agent ${quoted(agent)}`}:`;
}

/** The numbers: "has run 47m 12s, limit 45m (+15s)." */
const numbersOf = (item: Item): Printable =>
  closed(textOf(item.data, 'text') ?? item.order?.reason.text ?? 'no numbers');

/** What is in the way, where that is known: of an order's end, or of a judgement. */
function hindranceOf({ data }: Item, key: 'why' | 'text' = 'why'): Printable[] {
  const why = textOf(data, key);
  return why === null ? [] : [words`In the way: ${closed(why)}`];
}

/** Why a turn was to end, as the order says it. */
const whyOf = ({ order }: Item): Printable[] =>
  order?.reason.text == null ? [] : [words`It was to end: ${closed(order.reason.text)}`];

/** Such alerts are given once for each job. */
function othersOfJob({ data }: Item): Printable[] {
  const plan = textOf(data, 'plan');
  if (plan === null) return [];
  return [
    words`Other sessions of the bulk job ${quoted(plan)} may meet the same; \`curfew bulk report ${shellWord(plain(plan, LONGEST_NAME))}\` has them all.`,
  ];
}

/** Status and code, as far as the event tells them. */
function refusalOf({ data }: Item): Printable {
  const status = words`${numberOf(data, 'status') ?? 403}`;
  const code = textOf(data, 'code');
  return code === null ? status : words`${status} ${plain(code, LONGEST_NAME)}`;
}

function ruleOf({ data, order }: Item): Printable {
  const policy = textOf(data, 'policy') ?? order?.reason.policy ?? null;
  if (policy === null)
    return order === null ? words`No rule is known.` : words`Ordered by ${quoted(order.requestedBy)}.`;
  const version = numberOf(data, 'policyVersion') ?? order?.reason.policyVersion ?? null;
  const limit = textOf(data, 'limit') ?? textOf(order?.reason.limit ?? {}, 'name');
  const parts = [
    words`Rule ${quoted(policy)}`,
    ...(version === null ? [] : [words`version ${version}`]),
    ...(limit === null ? [] : [words`limit ${quoted(limit)}`]),
  ];
  return words`${joined(parts, ', ')}.`;
}

/** A further sentence on an ended turn: when, and after how many requests. */
function endingOf({ order }: Item): Printable | '' {
  if (order?.endedAtMs == null) return '';
  const requests = words`${order.attempts} cancel ${order.attempts === 1 ? 'request' : 'requests'}`;
  return words` It was seen over at ${moment(order.endedAtMs)}, after ${requests}.`;
}

function triedFor({ data }: Item): Printable | '' {
  const ms = numberOf(data, 'triedForMs');
  return ms === null ? '' : words` in ${plain(durationText(ms))} of trying`;
}

function stateOf({ data }: Item): Printable | '' {
  const state = textOf(data, 'state');
  return state === null ? '' : words` (${plain(state, 40)})`;
}

const exempting = ({ sessionId }: Item, purpose = words`Let it run on`): Remedy[] =>
  sessionId === null
    ? []
    : [
        {
          purpose,
          command: words`curfew exempt ${shellWord(sessionId)} --for 2h --reason "why it may"`,
        },
      ];

const explaining = ({ sessionId }: Item): Remedy[] =>
  sessionId === null ? [] : [{ purpose: words`See why`, command: words`curfew explain ${shellWord(sessionId)}` }];

const ending = (purpose: Printable, { sessionId }: Item): Remedy[] =>
  sessionId === null ? [] : [{ purpose, command: words`curfew cancel ${shellWord(sessionId)}` }];

const caseOf = ({ sessionId }: Item): Remedy => ({
  purpose: words`See the case`,
  command: sessionId === null ? words`curfew cases` : words`curfew cases ${shellWord(sessionId)}`,
});

const closed = (text: string | Untrusted): Printable => words`${plain(plain(text).replace(/\.$/, ''))}.`;

const sentences = (...parts: (Printable | null)[]): Printable => joined(parts.filter((part) => part !== null));

function momentOf(iso: string | Untrusted): Printable {
  const ms = Date.parse(plain(iso, 40));
  return Number.isNaN(ms) ? plain(iso, 40) : moment(ms);
}

const ofOthers = (text: string | null | undefined): Untrusted | null => (text == null ? null : untrusted(text));

/** What an event carries was written by us, though perhaps by another version: read with care. */
function textOf(data: Readonly<Record<string, unknown>>, key: string): Untrusted | null {
  const value = data[key];
  return typeof value === 'string' && value !== '' ? untrusted(value) : null;
}

function numberOf(data: Readonly<Record<string, unknown>>, key: string): number | null {
  const value = data[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
