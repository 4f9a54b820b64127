import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FILE_BOUNDS } from '../../src/core/bounds.js';
import { idsFromStream } from '../../src/cli/ids.js';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { isSessionId } from '../../src/adapters/vendor/index.js';

/** Whatever bytes stand in a file of ids, ids come out that can be asked for, or one error with exit code 2. */

/** Two seconds are the aim; a busy machine is slow. Most take milliseconds. */
const SOON_MS = 60_000;

/** @returns how many ids it holds; null: refused */
async function check(bytes: Buffer, pieceBytes: number): Promise<number | null> {
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, n) =>
    bytes.subarray(n * pieceBytes, (n + 1) * pieceBytes),
  );
  const before = performance.now();
  const given = idsFromStream(Readable.from(pieces, { objectMode: false }), 'ids.txt');
  let count = 0;
  try {
    for await (const batch of given.batches()) {
      for (const { sessionId, line } of batch) {
        if (!isSessionId(sessionId) || !Number.isInteger(line) || line < 1) throw new Error(`${line}: ${sessionId}`);
        count += 1;
      }
    }
    for (const text of given.left().examples) expect(text.length).toBeLessThan(500);
    return count;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.exitCode).toBe(ExitCode.usage);
    expect(error.message).toContain('No plan was made.');
    expect(error.message.length).toBeLessThan(2_000);
    return null;
  } finally {
    given.close();
    expect(performance.now() - before).toBeLessThan(SOON_MS);
  }
}

const parts = fc.oneof(
  fc.constantFrom(
    ...[
      'session_id',
      'sessionId',
      'id',
      'sess_1',
      '"sess_2"',
      '{"id":"sess_3"}',
      '{"id":[1]}',
      '["a"]',
      '{',
      '"',
      '""',
    ],
    ...[',', ';', '\t', '|', '\n', '\n', '\n', '\r\n', '\r', '#', '# x', '#,', ' ', '\0', '\u2028', '\ufeff', '=1+1'],
    ...['a,b', 'a,session_id\n', 'x"y', 'null', '{"id":null}', '../..', 'é'.repeat(130), 'x'.repeat(300)],
  ),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const text = fc.array(parts, { maxLength: 40 }).map((all) => Buffer.from(all.join('')));
const wide = text.map((plain) => Buffer.from(plain.toString(), 'utf16le'));
const spoilt = fc
  .tuple(text, fc.uint8Array({ maxLength: 6 }), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([plain, more, share]) => {
    const at = Math.floor(plain.length * share);
    return Buffer.concat([plain.subarray(0, at), more, plain.subarray(at)]);
  });

const KIB = 1024;
const many = (count: number, line: (n: number) => string): string =>
  Array.from({ length: count }, (_, n) => line(n)).join('');

describe('a file of ids', () => {
  it('gives usable ids or one error, whatever its bytes are and however they come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(text, wide, spoilt), fc.integer({ min: 1, max: 20 }), async (bytes, pieceBytes) => {
        const count = await check(bytes, pieceBytes);
        expect(await check(bytes, 64 * KIB)).toBe(count);
      }),
      { numRuns: 500, interruptAfterTimeLimit: 15_000 },
    );
  });

  it.each<[string, string]>([
    ['one line without end', 'x'.repeat(3 * FILE_BOUNDS.idsLine.most)],
    ['one cell without end', `a,session_id\n1,"${many(60_000, (n) => `line ${n} of a cell\n`)}`],
    ['one row without end', `a,session_id\n${'1,'.repeat(FILE_BOUNDS.idsLine.most)}`],
    ['a header without end', `session_id${',a'.repeat(FILE_BOUNDS.idsLine.most)}`],
    ['quotes alone', '"'.repeat(FILE_BOUNDS.idsLine.most)],
    ['JSON nested without end', `{"id":${'['.repeat(900_000)}`],
  ])('is refused soon for %s', async (_what, all) => {
    expect(await check(Buffer.from(all), 64 * KIB)).toBeNull();
  });

  it.each<[string, string]>([
    ['blank lines', many(300_000, () => '\n')],
    ['comments', many(100_000, (n) => `# ${n}\n`)],
    ['empty rows', `a,session_id\n${many(100_000, () => ',\n')}`],
    ['lines that hold none', many(100_000, () => 'a/b\n')],
  ])('may have very many %s', async (_what, all) => {
    expect(await check(Buffer.from(`${all}`), 64 * KIB)).toBeNull();
  });
});
