import { formatDuration } from '../core/duration.js';
import type { LogRecord, Sentence } from '../platform/pretty-line.js';
import { counted, OUTCOME_WORDS } from './words.js';

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const because = (value: unknown): string => (text(value) === '' ? '' : `: ${text(value)}`);

/** Of a verdict; `json` lines have them. */
const OF_VERDICT = [
  'policy',
  'policyVersion',
  'version',
  'mode',
  'turnKey',
  'orderId',
  'agentId',
  'agentName',
  'sessionId',
];
const NUMBERS = ['limit', 'text', 'observed', 'limitValue', 'unit', 'errorBound'];

/** Lines that come often, as people would say them. */
const SENTENCES: Readonly<
  Record<string, { readonly of: (fields: LogRecord) => string; readonly said: readonly string[] }>
> = {
  'would-end': {
    of: ({ policy, sessionId, breaker, text: why }) =>
      `${text(policy)} would end the turn of ${text(sessionId)}${breaker === 'open' ? ' (its breaker is open)' : ''}${because(why)}`,
    said: [...OF_VERDICT, ...NUMBERS, 'breaker'],
  },
  warned: {
    of: ({ policy, sessionId, text: why, graceUntil }) =>
      `${text(policy)} warns about ${text(sessionId)}${because(why)}${graceUntil === undefined ? '' : `; in grace until ${text(graceUntil)}`}`,
    said: [...OF_VERDICT, ...NUMBERS, 'breaker', 'graceUntil'],
  },
  'policy ordered the end of a turn': {
    of: ({ policy, sessionId, reason }) => `${text(policy)} ends the turn of ${text(sessionId)}${because(reason)}`,
    said: [...OF_VERDICT, 'reason'],
  },
  'watch ordered the end of a turn': {
    of: ({ sessionId, reason }) => `the watch of ${text(sessionId)} ends its turn${because(reason)}`,
    said: [...OF_VERDICT, 'reason'],
  },
  'order settled': {
    of: ({ sessionId, outcome, attempts }) =>
      `${text(sessionId)}: ${settledText(outcome)}${typeof attempts === 'number' ? `; ${counted(attempts, 'request')} sent` : ''}`,
    said: ['sessionId', 'orderId', 'outcome', 'attribution', 'attempts'],
  },
  'cancel request answered': {
    of: ({ sessionId, attempt, answer, state }) =>
      `${text(sessionId)}: cancel request ${Number(attempt)} ${text(answer)}${text(state) === '' ? '' : `, now ${text(state)}`}`,
    said: ['sessionId', 'attempt', 'answer', 'state'],
  },
};

/** Words for the lines of a worker's log. */
export const logSentence: Sentence = (message, fields) => {
  const { more, first, items, afterMs } = fields;
  // Many of a kind were put together: the message has their number.
  if (typeof more === 'number' && Array.isArray(first)) {
    return { text: `${message}; first: ${first.join(', ')}`, said: [...Object.keys(fields)] };
  }
  if (typeof fields['route'] === 'string' && typeof items === 'number' && typeof afterMs === 'number') {
    // Of the message that is being sent; what waits in all, the ledger knows.
    const waiting = `a message of ${counted(items, 'notice')} waits`;
    return {
      text: `${message}; ${waiting}, next try in ${formatDuration(afterMs)}`,
      said: ['route', 'items', 'afterMs'],
    };
  }
  const sentence = Object.hasOwn(SENTENCES, message) ? SENTENCES[message] : undefined;
  return sentence === undefined ? null : { text: sentence.of(fields), said: sentence.said };
};

const settledText = (outcome: unknown): string => {
  const name = text(outcome);
  const meaning = (OUTCOME_WORDS as Readonly<Record<string, string>>)[name];
  return meaning === undefined ? name : `${name}, ${meaning}`;
};
