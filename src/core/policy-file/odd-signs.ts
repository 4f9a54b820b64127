import type { Match } from '../policy/policy.js';
import { warning, type Finding, type Path } from './finding.js';
import { nameOf } from './odd-spaces.js';
import { shown } from './reading.js';

const OPENING = /^[“”„‟«»‘‚‛]/u;
const CLOSING = /[“”‟«»]$/u;
const QUOTES = /^[“”„‟«»‘’‚‛]+|[“”„‟«»‘’‚‛]+$/gu;
const UNSEEN = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/u;
const WIDE_SPACE = /[\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]/u;
const OTHER_ASTERISK = /[＊∗﹡⁎✱]/u;
const OTHER_HYPHEN = /[\u2010\u2011\u2212]/u;

/**
 * Signs in names that look like others, and that a word processor, a chat or a web page puts in their place: the name then fits
 * no agent, and nothing says so. Names may really hold them, so this only warns.
 */
export function oddSigns(match: Match, path: Path): Finding[] {
  if ('all' in match) return match.all.flatMap((part, index) => oddSigns(part, [...path, 'all', index]));
  if ('any' in match) return match.any.flatMap((part, index) => oddSigns(part, [...path, 'any', index]));
  if ('not' in match) return oddSigns(match.not, [...path, 'not']);
  const [[kind, values] = ['', []]] = Object.entries<readonly string[]>(match);
  return values.flatMap((value, index) => {
    const odd = oddityOf(value);
    return odd === null ? [] : [warning([...path, kind, index], odd.message, odd.suggestion)];
  });
}

function oddityOf(value: string): { readonly message: string; readonly suggestion: string } | null {
  if (OPENING.test(value) || CLOSING.test(value)) {
    return {
      message: `${shown(value)} has typographic quotes, which are part of the name here and not around it`,
      suggestion: `Did you mean ${shown(value.replaceAll(QUOTES, ''))}? YAML knows " and ' only.`,
    };
  }
  const unseen = UNSEEN.exec(value)?.[0];
  if (unseen !== undefined && !isJoinerOfEmoji(value)) {
    return {
      message: `${shown(value)} holds a character that can't be seen (${codeOf(unseen)})`,
      suggestion: 'Type the name again, unless the name of the agent really holds it.',
    };
  }
  const space = WIDE_SPACE.exec(value)?.[0];
  if (space !== undefined) {
    return {
      message: `${shown(value)} holds ${nameOf(space)}, which is not the same as a space`,
      suggestion: 'Type an ordinary space, unless the name of the agent really holds it.',
    };
  }
  const sign = (OTHER_ASTERISK.exec(value) ?? OTHER_HYPHEN.exec(value))?.[0];
  if (sign === undefined) return null;
  const plain = OTHER_ASTERISK.test(sign) ? '*' : '-';
  return {
    message: `the sign ${sign} (${codeOf(sign)}) in ${shown(value)} is not ${plain}, and stands for itself`,
    suggestion: `Did you mean ${shown(value.replaceAll(sign, plain))}?`,
  };
}

const isJoinerOfEmoji = (value: string): boolean => /\p{Extended_Pictographic}/u.test(value);

const codeOf = (sign: string): string => `U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
