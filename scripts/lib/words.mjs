/**
 * Phrases that read like another language, each with what to write instead. An entry is an error in pages and in texts of the
 * sources (scripts/check-words.mjs). White space stands for any; letters match in either case.
 */
const KINDS =
  'absolute path|address|amount|cron expression|database|date|duration|id|JSON|ledger|name|number|percentage|port|rate|session id|time|URL|UTF-8 text|valid \\w+';

/** @type {readonly { find: RegExp, instead: string, bad: string, good: string }[]} */
export const PHRASES = [
  phrase(
    `(?<!there |that )(?:is|are|which can be) no (?:${KINDS})s?\\b(?! (?:is|are|was|of|to|at|yet)\\b)`,
    'is not a valid …',
    {
      bad: '"soon" is no duration.',
      good: 'There is no name for it.',
    },
  ),
  phrase("on (?:a|an|the|some)\\w* ?(?:person|operator|one|body)['’]s word", 'by an operator', {
    bad: 'given up on an operator’s word',
    good: 'abandoned by an operator',
  }),
  phrase('\\bleave [^.:;]{0,40}? away\\b', 'Remove …', { bad: 'Leave --all away', good: 'Remove --all' }),
  phrase("\\blooks? on\\b(?= until|[.,;:'`]|$)", 'follow it, or wait until it finishes', {
    bad: 'look on until the job is over',
    good: 'Look on the dashboard.',
  }),
  phrase('could not be tried|(?:was|were|be) tried instead|not tried:', 'not yet tested', {
    bad: 'What could not be tried',
    good: 'It was tried again.',
  }),
  phrase('from a file to force', 'put a policy in force', {
    bad: 'From a file to force',
    good: 'Put a policy in force',
  }),
  phrase('nobody is there to', 'not an interactive terminal', {
    bad: 'Nobody is there to confirm, so nothing was started.',
    good: 'Not an interactive terminal; nothing was started.',
  }),
  phrase('where (?:you|one) stands?\\b|\\bone stands in\\b', 'the current directory', {
    bad: 'it does not matter where you stand',
    good: 'whatever the current directory',
  }),
  phrase(
    '\\b(?:Temporal|ledger|API|receiver|collector|workers?|database) (?:is|are|was|were|goes) away\\b',
    'is down',
    {
      bad: 'works while Temporal is away',
      good: 'works while Temporal is down',
    },
  ),
  phrase('\\banew\\b', 'again', { bad: 'Plan anew', good: 'Plan again' }),
  phrase('\\bfor ever\\b', 'forever', { bad: 'it runs for ever', good: 'it runs forever' }),
  phrase('\\ball the same\\b', 'anyway', { bad: 'ended all the same', good: 'ended anyway' }),
  phrase('\\bmends?\\b|\\bmended\\b', 'fix', { bad: 'Mend that line', good: 'Fix that line' }),
  phrase('\\bat hand\\b', 'we had no …', { bad: 'no engine was at hand', good: 'we had no engine' }),
  phrase('\\bput right\\b', 'fix', { bad: 'put right what is wrong', good: 'fix what is wrong' }),
  phrase('\\bproof against\\b', 'protected from', { bad: 'proof against Curfew', good: 'protected from Curfew' }),
  phrase('\\b(?:no longer|not) (?:told|heard) of\\b|\\bis told of\\b', 'is reported', {
    bad: 'a failure is told of',
    good: 'a failure is reported',
  }),
  phrase("\\b(?:don't|doesn't|does not|do not) mind\\b", 'is not affected', {
    bad: 'the limit does not mind',
    good: 'the limit is not affected',
  }),
  phrase('\\bas it stands\\b', 'for now', {
    bad: 'Nothing will end it as it stands',
    good: 'Nothing will end it for now',
  }),
  phrase('\\bwants? (?:a|their|its|the|TLS)\\b', 'needs', { bad: 'it wants a password', good: 'it needs a password' }),
  phrase('\\b(?:stands|lies) (?:in|below|under|beside)\\b', 'is in', {
    bad: 'The key stands in the file.',
    good: 'The key is in the file.',
  }),
  phrase('\\bwith words\\b', 'with a message', { bad: 'refused with words', good: 'refused with a message' }),
  phrase('\\bno more \\(', 'no longer', { bad: 'finds it no more (404)', good: 'no longer finds it (404)' }),
  phrase(
    '(?<![\\d.,])\\b1 (?:agents|sessions|turns|targets|orders|teams|requests|runs|pollers)\\b',
    'one of them, singular',
    {
      bad: 'waits for 1 agents',
      good: '11 agents, 1 agent',
    },
  ),
];

function phrase(pattern, instead, { bad, good }) {
  return { find: new RegExp(pattern.replaceAll(' ', '\\s+'), 'gi'), instead, bad, good };
}

/** Every phrase of the list in a text. @returns where each begins, what it is, and what to write instead */
export function phrasesIn(text) {
  return PHRASES.flatMap(({ find, instead }) =>
    [...text.matchAll(find)].map((match) => ({ at: match.index, found: match[0], instead })),
  );
}
