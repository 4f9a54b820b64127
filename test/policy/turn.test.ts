import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { currentTurn as lastOf, transcriptOf, type MessageHead, type Turn } from '../../src/core/policy/turn.js';

const AT = Date.UTC(2026, 0, 5, 9, 0, 0);
const user = (id: string | null, createdAtMs: number | null): MessageHead => ({ id, role: 'user', createdAtMs });
const agent = (createdAtMs: number | null): MessageHead => ({ id: 'answer', role: 'assistant', createdAtMs });

const turnsOf = (messages: readonly MessageHead[]): readonly Turn[] => transcriptOf(messages).turns;
const currentTurn = (messages: readonly MessageHead[]): Turn => lastOf(transcriptOf(messages));

describe('turns of a transcript', () => {
  it.each<[string, MessageHead[], string[]]>([
    ['nothing without messages', [], []],
    ['nothing without a user message', [agent(AT), { id: 's', role: 'system', createdAtMs: AT }], []],
    ['a turn per user message', [user('a', AT), agent(AT + 1), user('b', AT + 2)], ['a', 'b']],
    ['a steering message as a turn of its own', [user('a', AT), user('steer', AT + 1), agent(AT + 2)], ['a', 'steer']],
    [
      'turns by time, when the vendor lists the newest first',
      [user('b', AT + 2), agent(AT + 1), user('a', AT)],
      ['a', 'b'],
    ],
    ['turns by place, when a time is missing', [user('b', AT + 2), user('a', null), user('c', AT)], ['b', 'a', 'c']],
    ['the time as key, when there is no id', [user(null, AT), user(null, AT + 1)], [`at:${AT}`, `at:${AT + 1}`]],
    ['the ordinal as key, when there is neither', [user(null, null), user(null, null)], ['nth:1', 'nth:2']],
    [
      'only user messages in the ordinal',
      [agent(null), user(null, null), agent(null), user(null, null)],
      ['nth:1', 'nth:2'],
    ],
    ['roles in any case', [{ id: 'a', role: 'User', createdAtMs: AT }], ['a']],
    [
      'no turn for an entry that could not be read',
      [user('a', AT), { id: null, role: null, createdAtMs: null }],
      ['a'],
    ],
  ])('shows %s', (_title, messages, keys) => {
    expect(turnsOf(messages).map(({ key }) => key)).toEqual(keys);
  });

  it('keeps the place of messages with the same time', () => {
    expect(turnsOf([user('a', AT), user('b', AT), user('c', AT)]).map(({ key }) => key)).toEqual(['a', 'b', 'c']);
  });

  it('leaves the transcript as it was', () => {
    const messages = [user('b', AT + 1), user('a', AT)];
    turnsOf(messages);
    expect(messages.map(({ id }) => id)).toEqual(['b', 'a']);
  });
});

describe('currentTurn', () => {
  it('is the last turn, with its time', () => {
    expect(currentTurn([user('a', AT), agent(AT + 1), user('b', AT + 2), agent(AT + 3)])).toEqual({
      key: 'b',
      startedAtMs: AT + 2,
    });
  });

  it('is one nameless turn for a session that shows no user message', () => {
    expect(currentTurn([])).toEqual({ key: 'nth:0', startedAtMs: null });
    expect(currentTurn([agent(AT)])).toEqual({ key: 'nth:0', startedAtMs: null });
  });

  it('gets another key with each new user message, whatever the message carries', () => {
    const head = fc.record({
      id: fc.constant(null),
      role: fc.constantFrom('user', 'assistant'),
      createdAtMs: fc.constant(null),
    });
    fc.assert(
      fc.property(fc.array(head), (messages) => {
        expect(currentTurn([...messages, user(null, null)]).key).not.toBe(currentTurn(messages).key);
      }),
    );
  });
});
