import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { transcriptOf } from '../../src/core/policy/turn.js';
import { extractJson, objectOf, VALUE } from '../../src/adapters/vendor/json-extract.js';
import { sessionReader, UnreadableAnswer } from '../../src/adapters/vendor/wire.js';
import { longTranscript } from './long-transcript.js';

const MIB = 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const memory = (): number => {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** Cuts a text into pieces, in the middle of characters, too. */
function piecesOf(text: string, lengths: readonly number[]): Uint8Array[] {
  const bytes = Buffer.from(text);
  const pieces: Uint8Array[] = [];
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const length = lengths.length === 0 ? bytes.length : (lengths[n % lengths.length] ?? 1);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

function read(text: string, lengths: readonly number[] = []): unknown {
  const reader = sessionReader('sess_1');
  for (const piece of piecesOf(text, lengths)) reader.write(piece);
  return reader.end();
}

describe('reading a session in pieces', () => {
  it('keeps of each session what was wanted, and not the pieces that it stood in', () => {
    const pieceBytes = 64 * 1024;
    const session = (n: number): string => {
      const content = `ж${'x'.repeat(2 * pieceBytes)}`;
      const message = {
        id: `msg_longEnoughToBeCutOut_${n}`,
        role: 'user',
        created_at: '2026-01-01T00:00:00Z',
        content,
      };
      const head = { id: 'sess_1', agent_id: `agent_longEnoughToBeCutOut_${n}`, state: 'processing' };
      return JSON.stringify({ session: { ...head, messages: [message], name: `a name of session number ${n}` } });
    };
    const readSome = (count: number): unknown[] =>
      Array.from({ length: count }, (_, n) => read(session(n), [pieceBytes]));
    // Code that runs for the first time takes its own memory.
    readSome(20);
    const before = memory();
    const kept = readSome(200);
    const grown = memory() - before;
    expect(kept).toHaveLength(200);
    // With their pieces it would be over 25 MiB.
    expect(grown).toBeLessThan(4 * MIB);
  });

  it.each([
    ['many messages', 2_000],
    ['one message that is nearly all of it', 63 * MIB],
  ])('S7: keeps less than 10 MB of a transcript of 64 MB with %s', (_title, messageBytes) => {
    const { pieces, last } = longTranscript(64 * MIB, messageBytes);
    const reader = sessionReader('sess_1');
    const before = memory();
    let most = 0;
    let taken = 0;
    for (const text of pieces) {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += 64 * 1024) {
        const piece = bytes.subarray(at, at + 64 * 1024);
        reader.write(piece);
        // Looked at every 8 MB; what the test itself holds is not the reader's.
        if (taken % (8 * MIB) > (taken + piece.length) % (8 * MIB)) {
          most = Math.max(most, memory() - before - 3 * bytes.length);
        }
        taken += piece.length;
      }
    }
    expect(taken).toBeGreaterThan(63 * MIB);
    expect(most).toBeLessThan(10 * MIB);
    expect(reader.end().transcript.turns.at(-1)?.key).toBe(last());
  });

  it.each([
    ['objects', '{"a":'],
    ['lists', '['],
  ])('refuses %s that are nested without end, and keeps little of them', (_title, opening) => {
    const reader = sessionReader('sess_1');
    const piece = Buffer.from(opening.repeat(10_000));
    reader.write(Buffer.from('{"session":{"id":"sess_1","messages":[{"parts":'));
    expect(() => {
      for (let n = 0; n < 100; n += 1) reader.write(piece);
    }).toThrow(UnreadableAnswer);
  });

  it('reads what is nested as deeply as tools nest it', () => {
    const deep = `${'['.repeat(2_000)}${']'.repeat(2_000)}`;
    expect(read(`{"session":{"messages":[{"parts":${deep},"id":"m1","role":"user"}],"id":"sess_1"}}`)).toMatchObject({
      transcript: { turns: [{ key: 'm1' }] },
    });
  });

  it.each([
    '',
    '{',
    '{"session":{"id":"sess_1"}',
    '{"session":{"id":"sess_1"}}}',
    '{"session":{"id":"sess_1"}} 1',
    '{"session":{"id":"sess_1",}}',
    "{'session':{}}",
    '<html>',
    '[{"session":{"id":"sess_1"}}]',
    'null',
    '"session"',
    '{"session":"sess_1"}',
    '{"session":{"id":"sess_2"}}',
    '{"session":{"id":"sess_1","messages":[{"id":"m1"}',
  ])('takes %j for unreadable', (text) => {
    expect(() => read(text)).toThrow(UnreadableAnswer);
    expect(() => read(text, [1])).toThrow(UnreadableAnswer);
  });

  it('takes the last of fields that come twice, as JSON.parse does', () => {
    const twice = '"state":"queued","messages":[{"id":"m1","role":"user"}],"state":"failed","messages":[]';
    expect(read(`{"session":{"id":"sess_1",${twice}}}`)).toMatchObject({
      state: 'failed',
      transcript: transcriptOf([]),
    });
  });

  it('I1: keeps no turn of a session that another one comes after', () => {
    const first = '"session":{"id":"sess_2","messages":[{"id":"m1","role":"user"}]}';
    const text = `{${first},"session":{"id":"sess_1","messages":[]}}`;
    expect(read(text)).toMatchObject({ id: 'sess_1', transcript: transcriptOf([]) });
  });

  it.each([
    ['none', '"session":{"id":"sess_1","state":"processing"}'],
    ['null', '"session":{"id":"sess_1","state":"processing","messages":null}'],
    ['an object', '"session":{"id":"sess_1","state":"processing","messages":{"0":[1]}}'],
    ['a text', '"session":{"id":"sess_1","state":"processing","messages":"[]"}'],
    ['a list, and then null', '"session":{"id":"sess_1","messages":[M],"messages":null}'],
    ['a list, and then an object', '"session":{"id":"sess_1","messages":[M],"messages":{"0":[1]}}'],
    ['a list in another session before it', '"session":{"id":"sess_1","messages":[M]},"session":{"id":"sess_1"}'],
  ])('I5: an absent list of messages is not an empty one: %s', (_title, fields) => {
    const text = `{${fields.replace('M', '{"id":"m1","role":"user"}')}}`;
    expect(() => read(text)).toThrow(new UnreadableAnswer('it holds no list of messages'));
    expect(() => read(text, [1])).toThrow(UnreadableAnswer);
  });

  it('takes an empty list of messages for a session without a turn', () => {
    expect(read('{"session":{"id":"sess_1","messages":[]}}')).toMatchObject({ transcript: transcriptOf([]) });
  });

  it('takes a text that is too long to be a state or an id for unknown', () => {
    const long = 'x'.repeat(100_000);
    expect(
      read(`{"session":{"id":"sess_1","state":"${long}","messages":[{"role":"user","id":"${long}"}]}}`, [65_536]),
    ).toMatchObject({ state: null, transcript: { turns: [{ key: 'nth:1' }] } });
  });
});

describe('extracting from JSON', () => {
  const wanted = objectOf({ a: VALUE, b: objectOf({ a: VALUE, __proto__x: VALUE }), '': VALUE });
  const extract = (text: string, lengths: readonly number[]): unknown => {
    const body = extractJson(wanted);
    for (const piece of piecesOf(text, lengths)) body.write(piece);
    return body.end();
  };
  /** What is wanted, of the whole text. */
  const expected = (value: unknown): unknown => {
    const plain = (of: unknown): unknown => (typeof of === 'object' && of !== null ? undefined : of);
    const fieldsOf = (of: unknown): Record<string, unknown> | undefined =>
      typeof of === 'object' && of !== null && !Array.isArray(of) ? (of as Record<string, unknown>) : undefined;
    const root = fieldsOf(value);
    if (root === undefined) return plain(value);
    const out: Record<string, unknown> = {};
    for (const name of Object.keys(root)) {
      if (name === 'a' || name === '') out[name] = plain(root[name]);
      if (name !== 'b') continue;
      const inner = fieldsOf(root[name]);
      out[name] = inner === undefined ? plain(root[name]) : 'a' in inner ? { a: plain(inner['a']) } : {};
    }
    return out;
  };

  it('says the same as JSON.parse, however the text is cut', () => {
    const keys = fc.constantFrom('a', 'b', '', 'c', '\u00e9"\\');
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.double({ noNaN: true, noDefaultInfinity: true }),
          fc.integer(),
          fc.boolean(),
          fc.constant(null),
        ),
        fc.dictionary(keys, tie('tree'), { maxKeys: 4 }),
        fc.array(tie('tree'), { maxLength: 3 }),
      ),
    }));
    fc.assert(
      fc.property(
        tree,
        fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 5 }),
        fc.boolean(),
        (value, cuts, wide) => {
          const text = JSON.stringify(value, null, wide ? 2 : 0);
          expect(extract(text, cuts)).toEqual(expected(JSON.parse(text)));
        },
      ),
      { numRuns: 500 },
    );
  });
});
