import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { VENDOR_BOUNDS } from '../../src/core/bounds.js';
import type { Session } from '../../src/adapters/vendor/index.js';
import { readAgentPage, readSessionPage, readTeamPage, sessionReader } from '../../src/adapters/vendor/wire.js';
import { storableText } from '../../src/core/text/storable.js';

const item = (more: Record<string, unknown>): Session => {
  const [session] = readSessionPage({ sessions: [{ id: 'sess_1', ...more }] }).sessions;
  if (session === undefined) throw new Error('It was not read.');
  return session;
};

function retrieved(session: Record<string, unknown>): Session {
  const reader = sessionReader('sess_1');
  reader.write(Buffer.from(JSON.stringify({ session: { id: 'sess_1', ...session } })));
  return reader.end();
}

const keysOf = (...ids: unknown[]): string[] =>
  retrieved({ messages: ids.map((id) => ({ role: 'user', id })) }).transcript.turns.map(({ key }) => key);

const MB = 1_000_000;

describe('a text of the vendor', () => {
  it('S8: that is a state of 3 MB is an unknown state, and kept short', () => {
    const { state } = item({ state: `Processing${'x'.repeat(3 * MB)}` });
    expect(state).toBe(`processing${'x'.repeat(VENDOR_BOUNDS.state.most - 11)}…`);
    expect(item({ state: 'x'.repeat(100) }).state).toBe('x'.repeat(100));
    expect(item({ state: ` PROCESSING${' '.repeat(MB)}` }).state).toBe('processing');
    expect(item({ state: 'processing\0' }).state).toBe('processing\ufffd');
  });

  it('S8: that is a name is kept in 500 characters, none of them cut in two', () => {
    const { name, agentName } = item({ name: '😀'.repeat(501), agent_name: 'n'.repeat(MB) });
    expect(name).toBe(`${'😀'.repeat(499)}…`);
    expect(agentName).toBe(`${'n'.repeat(499)}…`);
    expect(item({ name: '😀'.repeat(500) }).name).toBe('😀'.repeat(500));
    expect(readAgentPage({ agents: [{ id: 'a', name: 'n'.repeat(MB) }] }).agents[0]?.name).toHaveLength(500);
    expect(readTeamPage({ teams: [{ id: 'a', name: 'n'.repeat(MB) }] }).teams[0]?.name).toHaveLength(500);
  });

  it.each(['agent_team_id', 'creator.id', 'agent_id', 'trigger_id'])(
    'I5: that is too long for an id is unknown: %s',
    (at) => {
      const fields = (id: unknown): Record<string, unknown> =>
        at === 'creator.id' ? { creator: { id } } : { [at]: id };
      const value = ({ teamId, creatorId, agentId, triggerId }: Session): string | null =>
        ({ agent_team_id: teamId, 'creator.id': creatorId, agent_id: agentId, trigger_id: triggerId })[at] ?? null;
      for (const id of ['x', 'x'.repeat(200), 'é'.repeat(100)]) expect(value(item(fields(id)))).toBe(id);
      for (const id of ['x'.repeat(249), 'é'.repeat(125), 'a\0b', 'a\ud800', 'x'.repeat(MB)]) {
        expect(value(item(fields(id)))).toBeNull();
      }
    },
  );

  it('S8: the id of a session has the rule that people have to keep to', () => {
    const ids = ['x'.repeat(200), 'é'.repeat(124), 'x'.repeat(201), 'é'.repeat(125)];
    const page = readSessionPage({ sessions: ids.map((id) => ({ id })) });
    expect(page.sessions.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(page.unreadable).toBe(2);
  });

  it('I5: that is no address, time or amount of a usable length is unknown', () => {
    const session = item({
      created_at: `2026-01-05T12:00:00Z${' '.repeat(100)}`,
      creator: { id: 'u', email: `${'x'.repeat(320)}@example.com` },
      usage: { credit_cost: `1${'0'.repeat(99)}`, input_tokens: 1e300, output_tokens: Number.MAX_SAFE_INTEGER },
    });
    expect(session).toMatchObject({ createdAtMs: null, creatorId: 'u', creatorEmail: null });
    expect(session.usage).toMatchObject({ creditCost: null, inputTokens: null, outputTokens: Number.MAX_SAFE_INTEGER });
  });
});

describe('the id of a message that no ledger could keep', () => {
  const odd = ['a\0b', 'a\ufffdb', 'a\ud800b', 'a\udc00b', 'x'.repeat(201), `${'x'.repeat(200)}y`, 'é'.repeat(101)];

  it('S8: stands for its turn all the same, by a key that can be stored', () => {
    const keys = keysOf(...odd.slice(0, 5));
    expect(keys.map(storableText)).toEqual(keys);
    for (const key of keys) expect(key.length).toBeLessThanOrEqual(200);
    expect(keysOf(...odd.slice(0, 5))).toEqual(keys);
  });

  it('I1: is never the same key as another id, however alike they are', () => {
    expect(new Set(odd.flatMap((id) => keysOf(id))).size).toBe(odd.length);
  });

  it('keeps the key of every other id as it is', () => {
    const plain = ['m1', 'x'.repeat(200), 'é'.repeat(100), '😀', 'a b', 'a\u200bb'];
    expect(plain.flatMap((id) => keysOf(id))).toEqual(plain);
  });

  it('I1: two ids have one key only if they are the same', () => {
    const unit = fc.constantFrom('a', '\0', '\ufffd', '\ud800', '\udc00', '😀', 'é', ' ');
    const id = fc.oneof(
      fc.string({ unit, minLength: 1, maxLength: 6 }),
      fc.string({ unit, minLength: 66, maxLength: 260 }),
    );
    fc.assert(fc.property(id, id, (one, other) => (keysOf(one)[0] === keysOf(other)[0]) === (one === other)));
  });
});

describe('whatever the vendor sends', () => {
  it('S8: is kept in a form that both databases give back as it was, and in a few kilobytes', () => {
    const unit = fc.constantFrom('a', '\0', '\ud800', '\udfff', '😀', 'é', '\u202e', '\n');
    const text = fc.oneof(
      fc.string({ unit, maxLength: 40 }),
      fc.constant('x\0'.repeat(3_000)),
      fc.constant('😀'.repeat(999)),
    );
    const fields = ['agent_id', 'agent_name', 'agent_team_id', 'name', 'type', 'state', 'created_at', 'trigger_id'];
    const session = fc.record({
      ...Object.fromEntries(fields.map((name) => [name, fc.option(text)])),
      creator: fc.record({ id: text, email: text }),
      usage: fc.record({ credit_cost: text }),
      messages: fc.array(fc.record({ id: text, role: fc.constantFrom('user', 'assistant', 'x\0') }), { maxLength: 8 }),
    });
    const texts = (value: unknown): string[] =>
      typeof value === 'string'
        ? [value]
        : typeof value === 'object' && value !== null
          ? Object.values(value).flatMap(texts)
          : [];
    fc.assert(
      fc.property(session, (sent) => {
        for (const seen of [item(sent), retrieved(sent)]) {
          expect(texts(seen).map(storableText)).toEqual(texts(seen));
          expect(JSON.stringify(seen).length).toBeLessThan(8_000);
        }
      }),
      { numRuns: 40 },
    );
  });
});
