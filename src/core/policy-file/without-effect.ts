import { comparableInAnyCase, fitsAnything, globCovers, sameText } from '../policy/glob.js';
import { LIMIT_NAMES, type LimitName, type Match } from '../policy/policy.js';
import { warning, type Finding, type Path } from './finding.js';
import { limitsSchema, matchSchema, policySchema } from './schema.js';
import { matchOf } from './to-policy.js';
import { formatDuration } from '../duration.js';

type Mapping = Readonly<Record<string, unknown>>;

/** Settings that are allowed and do nothing, or not what their writer expects: told, because nobody would notice. */
export function withoutEffect(data: Mapping): Finding[] {
  return [...toldToNobody(data), ...unusedRoutes(data), ...neverReached(data)];
}

const NOTIFY_HINT =
  'Name a route: notify: [ops], with ops under notify at the end of the file. The ledger keeps it in any case.';

/** Each with what happens unheard. */
const NEWS = [
  ['warn_at', 'reaches nobody: this policy names no route'],
  ['caps', 'stops the policy without telling anyone: it names no route'],
  ['on_restart', 'reaches nobody: this policy names no route'],
] as const;

function toldToNobody(data: Mapping): Finding[] {
  return policiesOf(data).flatMap(({ entry, path }) => {
    if (entry['notify'] !== undefined || entry['mode'] === 'off') return [];
    return NEWS.flatMap(([key, words]) =>
      entry[key] === undefined || entry[key] === null
        ? []
        : [{ ...warning([...path, key], `${key} ${words}`, NOTIFY_HINT), at: 'key' as const }],
    );
  });
}

/** A route that no policy names still hears what belongs to none, so a file without policies uses all of its routes. */
function unusedRoutes(data: Mapping): Finding[] {
  const policies = policiesOf(data);
  const named = new Set(policies.flatMap(({ entry }) => listOf(entry['notify'])));
  if (policies.length === 0) return [];
  return Object.keys(asMapping(data['notify']) ?? {})
    .filter((name) => !named.has(name))
    .map((name) => ({
      ...warning(
        ['notify', name],
        'no policy names this route: it hears nothing of sessions, only of the key, the coverage, bulk jobs and cleanups',
        'Name it in the notify of a policy, unless that is meant.',
      ),
      at: 'key' as const,
    }));
}

interface Enforcing {
  readonly name: string;
  readonly match: Match;
  readonly limits: Partial<Readonly<Record<LimitName, number | undefined>>>;
  readonly graceMs: number;
  readonly path: Path;
}

/** Of all policies about a session the strictest limit counts; a looser one is no exception to it. */
function neverReached(data: Mapping): Finding[] {
  const enforcing = policiesOf(data).flatMap(({ entry, path }) => enforcingOf(entry, path) ?? []);
  return enforcing.flatMap((policy) =>
    LIMIT_NAMES.flatMap((limit) => {
      const own = policy.limits[limit];
      if (own === undefined) return [];
      const stricter = enforcing.find((other) => {
        const bound = other.limits[limit];
        if (other === policy || bound === undefined || !covers(other.match, policy.match)) return false;
        // A time limit ends the turn when its grace is over, too; an amount when both have passed.
        return TIMES.has(limit)
          ? bound + other.graceMs < own + policy.graceMs && bound < own
          : bound < own && other.graceMs <= policy.graceMs;
      });
      if (stricter === undefined) return [];
      const bound = amountText(limit, stricter.limits[limit] ?? 0);
      return [
        warning(
          [...policy.path, 'limits', limit],
          `${limit} is never reached: policy ${stricter.name} ends every such turn at ${bound}, and the strictest limit counts`,
          `To allow these sessions more, leave them out of ${stricter.name} with not; to end them sooner, set this limit lower.`,
        ),
      ];
    }),
  );
}

const TIMES = new Set<LimitName>(['max_runtime', 'max_continuous_runtime', 'max_queue_time']);
const amountText = (limit: LimitName, value: number): string =>
  TIMES.has(limit) ? formatDuration(value) : String(value);

function enforcingOf(entry: Mapping, path: Path): Enforcing | null {
  if (entry['mode'] !== 'enforce') return null;
  const match = matchSchema.safeParse(entry['match']).data;
  const limits = limitsSchema.safeParse(entry['limits']).data;
  const name = policySchema.shape.name.safeParse(entry['name']).data;
  const grace = policySchema.shape.grace.safeParse(entry['grace']);
  if (match === undefined || limits === undefined || name === undefined || !grace.success) return null;
  return { name, match: matchOf(match), limits, graceMs: grace.data ?? 0, path };
}

/** Whether every session that certainly fits `inner` certainly fits `outer`. May say no where a closer look would say yes. */
export function covers(outer: Match, inner: Match): boolean {
  if ('any' in inner) return inner.any.every((part) => covers(outer, part));
  if ('all' in outer) return outer.all.every((part) => covers(part, inner));
  // Every session has an agent, whose id is known when a rule is judged.
  if ('agents' in outer && outer.agents.some(fitsAnything)) return true;
  if ('any' in outer) return outer.any.some((part) => covers(part, inner));
  if ('all' in inner) return inner.all.some((part) => covers(outer, part));
  // What is left out by less is covered by what is left out by more: only the plain case, two equal rules.
  if ('not' in outer || 'not' in inner) return 'not' in outer && 'not' in inner && isSame(outer.not, inner.not);
  if ('agents' in outer) return 'agents' in inner && eachCovered(inner.agents, outer.agents, globCovers);
  if ('creators' in outer) {
    return 'creators' in inner && eachCovered(inner.creators, outer.creators, creatorCovers);
  }
  return 'teams' in inner && eachCovered(inner.teams, outer.teams, (wide, narrow) => sameText(wide, narrow));
}

const eachCovered = (
  narrow: readonly string[],
  wide: readonly string[],
  covered: (wide: string, narrow: string) => boolean,
): boolean => narrow.every((one) => wide.some((other) => covered(other, one)));

/** Ids are compared with case, addresses without: only with both is it certain. */
const creatorCovers = (wide: string, narrow: string): boolean =>
  globCovers(wide, narrow) && globCovers(comparableInAnyCase(wide), comparableInAnyCase(narrow));

const isSame = (one: Match, other: Match): boolean => JSON.stringify(one) === JSON.stringify(other);

function policiesOf(data: Mapping): { readonly entry: Mapping; readonly path: Path }[] {
  return listOf(data['policies']).flatMap((item, index) => {
    const entry = asMapping(item);
    return entry === null ? [] : [{ entry, path: ['policies', index] }];
  });
}

const asMapping = (value: unknown): Mapping | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : null;

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
