import { comparable, comparableInAnyCase, fitsAnything, globCovers, isLiteral, sameText } from '../policy/glob.js';
import type { Match } from '../policy/policy.js';
import { error, warning, type Finding, type Path } from './finding.js';

type Atom = Extract<Match, { agents: unknown } | { creators: unknown } | { teams: unknown }>;
type Kind = 'agents' | 'creators' | 'teams';

const USE_ANY = 'For sessions of either, write them into one list, or use any instead of all.';

/** Rules that can never match, whatever the session: each is told at its innermost place. */
export function contradictions(match: Match, path: Path): Finding[] {
  if ('any' in match) return match.any.flatMap((part, index) => contradictions(part, [...path, 'any', index]));
  if ('not' in match) {
    const inner = contradictions(match.not, [...path, 'not']);
    if (inner.length > 0 || !fitsEverySession(match.not)) return inner;
    return [
      error(
        path,
        'this rule can never match: not is in front of a rule that every session matches',
        'Remove not, or name what it leaves out.',
      ),
    ];
  }
  if ('all' in match) {
    const inner = match.all.flatMap((part, index) => contradictions(part, [...path, 'all', index]));
    return inner.length > 0 ? inner : conflicts(match, [...path, 'all']);
  }
  return [];
}

/** Only for sessions of which everything is known: for others no rule is certain. */
function fitsEverySession(match: Match): boolean {
  if ('all' in match) return match.all.every(fitsEverySession);
  if ('any' in match) return match.any.some(fitsEverySession);
  if ('not' in match) return false;
  // Teams are exact ids: "*" is none.
  return !('teams' in match) && valuesOf(match).some(fitsAnything);
}

function conflicts(match: Match, path: Path): Finding[] {
  const parts = conjuncts(match);
  const wanted = parts.filter((part): part is Atom => isAtom(part));
  const refused = parts.flatMap((part) => ('not' in part ? alternatives(part.not) : [])).filter(isAtom);
  for (const [index, one] of wanted.entries()) {
    if (refused.some((other) => kindOf(other) === kindOf(one) && leavesNothing(one, other))) {
      const message = `this rule can never match: it asks for ${listed(one)} and leaves the same out`;
      return [error(path, message, 'Remove one of the two.')];
    }
    for (const other of wanted.slice(index + 1)) {
      const found = disjoint(one, other, path);
      if (found !== null) return [found];
    }
  }
  return [];
}

/** What must hold all at once, with `all` in `all` unfolded. */
const conjuncts = (match: Match): readonly Match[] => ('all' in match ? match.all.flatMap(conjuncts) : [match]);
/** What each suffices, with `any` in `any` unfolded. */
const alternatives = (match: Match): readonly Match[] => ('any' in match ? match.any.flatMap(alternatives) : [match]);

const isAtom = (match: Match): match is Atom => 'agents' in match || 'creators' in match || 'teams' in match;
const kindOf = (atom: Atom): Kind => ('agents' in atom ? 'agents' : 'creators' in atom ? 'creators' : 'teams');
const valuesOf = (atom: Atom): readonly string[] =>
  'agents' in atom ? atom.agents : 'creators' in atom ? atom.creators : atom.teams;
const listed = (atom: Atom): string => `${kindOf(atom)} ${valuesOf(atom).slice(0, 3).join(', ')}`;

/** Whether all that fits `wanted` fits `refused`. */
function leavesNothing(wanted: Atom, refused: Atom): boolean {
  const covers = kindOf(wanted) === 'teams' ? sameText : globCovers;
  return valuesOf(wanted).every((inner) => valuesOf(refused).some((outer) => covers(outer, inner)));
}

/** Two lists of exact values that one session would have to be in at once. */
function disjoint(one: Atom, other: Atom, path: Path): Finding | null {
  const kind = kindOf(one);
  if (kind !== kindOf(other)) return null;
  const exact = kind === 'teams' || [...valuesOf(one), ...valuesOf(other)].every(isLiteral);
  const inOneForm = (value: string): string => (value.includes('@') ? comparableInAnyCase : comparable)(value);
  const others = valuesOf(other).map(inOneForm);
  if (!exact || valuesOf(one).some((value) => others.includes(inOneForm(value)))) return null;
  const asked = `${listed(one)} and of ${listed(other)} at once`;
  const all = [...valuesOf(one), ...valuesOf(other)];
  // An agent has an id and a name, a creator an id and an address: two values can be both only if they are of two kinds.
  const sameField =
    kind === 'teams' ||
    all.every((value) => isIdOf(kind, value)) ||
    (kind === 'creators' && !all.some((value) => isIdOf(kind, value)));
  if (sameField) return error(path, `this rule can never match: no session is of ${asked}`, USE_ANY);
  return warning(
    path,
    `this rule asks for ${asked}: one as the id and the other as the ${kind === 'agents' ? 'name' : 'address'}`,
    USE_ANY,
  );
}

/** Agent ids of the vendor begin so; a creator's address has an @, an id has none. */
const isIdOf = (kind: 'agents' | 'creators', value: string): boolean =>
  kind === 'agents' ? value.startsWith('agent_') : !value.includes('@');
