import pc from 'picocolors';
import type { Exemption, NotifyRoute, PolicyFile, PolicyMode } from '../core/policy/policy.js';
import { cleanupWords, policyWords } from './policy-words.js';
import { iso } from '../core/times.js';

/** What changes when one policy file takes the place of another. */
export interface PolicyDifference {
  readonly policies: readonly EntryDifference[];
  readonly cleanup: readonly EntryDifference[];
  readonly notify: readonly EntryDifference[];
  /** Sessions, each with the end of its exemption. */
  readonly exempt: readonly EntryDifference[];
}

export interface EntryDifference {
  readonly name: string;
  readonly change: 'new' | 'removed' | 'changed';
  /** Lines of its meaning that go, and that come. */
  readonly removed: readonly string[];
  readonly added: readonly string[];
  /** Of a policy: its mode before and after; null where there is none. */
  readonly mode?: { readonly from: PolicyMode | null; readonly to: PolicyMode | null };
}

const EMPTY: PolicyFile = { version: 1, policies: [], cleanup: [], notify: {}, exempt: [] };

/** @param before - null: nothing is in force */
export function differenceOf(before: PolicyFile | null, after: PolicyFile): PolicyDifference {
  const from = before ?? EMPTY;
  return {
    policies: compare(from.policies, after.policies, ({ name }) => name, policyWords).map((entry) => ({
      ...entry,
      mode: { from: modeIn(from, entry.name), to: modeIn(after, entry.name) },
    })),
    cleanup: compare(from.cleanup, after.cleanup, ({ name }) => name, cleanupWords),
    notify: compare(Object.entries(from.notify), Object.entries(after.notify), ([name]) => name, routeWords),
    exempt: compare(from.exempt, after.exempt, ({ sessionId }) => sessionId, exemptionWords),
  };
}

const modeIn = ({ policies }: PolicyFile, name: string): PolicyMode | null =>
  policies.find((policy) => policy.name === name)?.mode ?? null;

/** Policies that enforce after the change, and did not before it. */
export const newlyEnforcing = ({ policies }: PolicyDifference): string[] =>
  policies.filter(({ mode }) => mode?.to === 'enforce' && mode.from !== 'enforce').map(({ name }) => name);

export const isEmpty = (difference: PolicyDifference): boolean =>
  Object.values(difference).every((entries: readonly EntryDifference[]) => entries.length === 0);

function compare<T>(
  before: readonly T[],
  after: readonly T[],
  nameOf: (entry: T) => string,
  wordsOf: (entry: T) => string[],
): EntryDifference[] {
  const old = new Map(before.map((entry) => [nameOf(entry), entry]));
  const entries: EntryDifference[] = [];
  for (const entry of after) {
    const name = nameOf(entry);
    const was = old.get(name);
    old.delete(name);
    const words = wordsOf(entry);
    if (was === undefined) {
      entries.push({ name, change: 'new', removed: [], added: words });
    } else if (JSON.stringify(was) !== JSON.stringify(entry)) {
      const wordsBefore = wordsOf(was);
      entries.push({
        name,
        change: 'changed',
        removed: wordsBefore.filter((line) => !words.includes(line)),
        added: words.filter((line) => !wordsBefore.includes(line)),
      });
    }
  }
  for (const [name, entry] of old) entries.push({ name, change: 'removed', removed: wordsOf(entry), added: [] });
  return entries;
}

/** Neither holds a secret: those are in files. */
const routeWords = ([, route]: [string, NotifyRoute]): string[] => [
  'slack' in route ? `Slack, address in ${route.slack.urlFile}` : `webhook ${new URL(route.webhook.url).origin}`,
];

const exemptionWords = ({ untilMs, reason }: Exemption): string[] => [`left alone until ${iso(untilMs)}: ${reason}`];

/** For people, a paragraph per entry. */
export function differenceWords(difference: PolicyDifference): string {
  const paragraphs = [
    ...difference.policies.map((entry) => paragraph('policy', entry)),
    ...difference.cleanup.map((entry) => paragraph('cleanup', entry)),
    ...difference.notify.map((entry) => paragraph('route', entry)),
    ...difference.exempt.map((entry) => paragraph('exempt', entry)),
  ];
  return paragraphs.length === 0 ? 'Only the order of entries changes.' : paragraphs.join('\n\n');
}

const MARKS = {
  new: (text: string) => pc.green(`+ ${text}`),
  removed: (text: string) => pc.red(`- ${text}`),
  changed: (text: string) => `~ ${text}`,
};

function paragraph(kind: string, { name, change, removed, added, mode }: EntryDifference): string {
  const enforces = mode?.to === 'enforce' && mode.from !== 'enforce';
  const title = MARKS[change](pc.bold(`${kind} ${name} (${change})`));
  return [
    enforces ? `${title}  ${pc.bold(pc.yellow('BEGINS TO END TURNS'))}` : title,
    ...removed.map((line) => pc.red(`    - ${line}`)),
    ...added.map((line) => pc.green(`    + ${line}`)),
  ].join('\n');
}
