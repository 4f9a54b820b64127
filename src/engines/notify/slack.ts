import type { Notice, Remedy } from './notice.js';
import { begun, joined, LONGEST_NAME, replaced, words, type Printable } from '../../core/text/printable.js';
import { moment, plain, quoted } from './words.js';

/** Slack's limits for a message; a message over them is refused whole. Source: Slack, reference of blocks. */
const MOST_SECTION_CHARACTERS = 3_000;

/** More than this are told as one summary: a channel that scrolls away is read by nobody. */
export const SUMMARY_OVER = 100;
/** Most that one summary covers. */
export const SUMMARY_MOST = 1_000;
const MOST_COUNTS = 20;
const FIRST_SHOWN = 10;

export interface SlackMessage {
  /** For the notification on a phone, and where blocks can't be shown. */
  readonly text: Printable;
  readonly blocks: readonly SlackSection[];
}

interface SlackSection {
  readonly type: 'section';
  /** `verbatim`: Slack makes no links or mentions out of what names hold. */
  readonly text: { readonly type: 'mrkdwn'; readonly text: Printable; readonly verbatim: true };
}

/** One section for each notice. At most 50, because Slack takes no more blocks. */
export function slackMessage(notices: readonly Notice[]): SlackMessage {
  const [first] = notices;
  const more = notices.length > 1 ? words` (and ${notices.length - 1} more)` : '';
  return {
    text: first === undefined ? words`Curfew` : clipped(words`Curfew: ${headline(first)}${more}`),
    blocks: notices.map((notice) =>
      section([
        words`${SIGNS[signOf(notice)]} *${escaped(notice.title)}* · ${moment(notice.atMs)}`,
        ...notice.lines.map((line) => escaped(line)),
        ...notice.remedies.map(remedyLine),
      ]),
    ),
  };
}

/** Many things at once: how many of which kind by which policy, and the first of them. */
export function slackSummary(notices: readonly Notice[]): SlackMessage {
  const counts = new Map<Printable, number>();
  for (const { title, policy } of notices) {
    const what = policy === null ? title : words`${title}, rule ${quoted(policy)}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  const lines = [...counts].sort(([, a], [, b]) => b - a).map(([what, count]) => words`• ${count} × ${escaped(what)}`);
  const alerts = notices.filter(({ alert }) => alert).length;
  const ofThem = alerts === 0 ? '' : words`, ${alerts} of them ${alerts === 1 ? 'an alert' : 'alerts'}`;
  const title = words`${notices.length} notices${ofThem}`;
  // Alerts first: they must not hide behind a hundred warnings.
  const first = [...notices].sort((a, b) => Number(b.alert) - Number(a.alert)).slice(0, FIRST_SHOWN);
  return {
    text: words`Curfew: ${title}`,
    blocks: [
      section([
        words`${SIGNS[alerts > 0 ? 'alert' : 'notice']} *${title}*`,
        ...lines.slice(0, MOST_COUNTS),
        ...(lines.length > MOST_COUNTS ? [words`• and ${lines.length - MOST_COUNTS} kinds more`] : []),
      ]),
      ...first.map((notice) => section([words`${SIGNS[signOf(notice)]} ${escaped(headline(notice))}`])),
      section([words`The rest is in the ledger: \`curfew history\``]),
    ],
  };
}

export const slackTest = (route: string): SlackMessage => ({
  text: words`Curfew: test of the route ${escaped(plain(route, LONGEST_NAME))}`,
  blocks: [
    section([
      words`${SIGNS.notice} *Test* · route ${escaped(quoted(route))}`,
      words`Notices of Curfew arrive here. Nothing happened.`,
    ]),
  ],
});

const SIGNS = { alert: '🚨', warning: '⚠️', notice: 'ℹ️' } as const;

const signOf = ({ alert, item }: Notice): keyof typeof SIGNS =>
  alert ? 'alert' : item.kind === 'warned' ? 'warning' : 'notice';

const headline = ({ title, lines }: Notice): Printable => words`${title}. ${lines[0] ?? ''}`;

const remedyLine = ({ purpose, command }: Remedy): Printable =>
  command === null ? escaped(purpose) : words`${escaped(purpose)}: \`${escaped(command, [['`', "'"]])}\``;

const section = (lines: readonly Printable[]): SlackSection => ({
  type: 'section',
  text: { type: 'mrkdwn', text: cut(joined(lines, '\n')), verbatim: true },
});

/** The three characters with which Slack begins links, mentions and entities. */
const ENTITIES = [
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
] as const;

const escaped = (text: Printable, more: readonly (readonly [string, string])[] = []): Printable =>
  replaced(text, [...more, ...ENTITIES]);

const clipped = (text: Printable): Printable => cut(escaped(text));

/** Cuts at Slack's limit, and no entity or surrogate pair in two. */
function cut(text: Printable): Printable {
  if (text.length <= MOST_SECTION_CHARACTERS) return text;
  return words`${begun(text, MOST_SECTION_CHARACTERS - 1, /&[a-z]{0,3}$|[\uD800-\uDBFF]$/)}…`;
}
