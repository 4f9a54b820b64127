import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'csv-stringify/sync';
import fc from 'fast-check';
import { idsFromFile, idsFromList, idsFromStream } from '../../src/cli/ids.js';
import type { GivenId, GivenIds, LeftLines } from '../../src/engines/bulk/given-ids.js';
import { ExitCode, UserError } from '../../src/core/errors.js';
import '../support/property-seed.js';

async function readAll(given: GivenIds): Promise<{ ids: GivenId[]; left: LeftLines; batches: number }> {
  const ids: GivenId[] = [];
  let batches = 0;
  for await (const batch of given.batches()) {
    ids.push(...batch);
    batches += 1;
  }
  return { ids, left: given.left(), batches };
}
const read = (text: string | Uint8Array, chunk = 7) =>
  readAll(idsFromStream(inChunks(Buffer.from(text), chunk), 'ids.txt'));
const idsOf = async (text: string, chunk?: number): Promise<string[]> =>
  (await read(text, chunk)).ids.map(({ sessionId }) => sessionId);

/** In pieces that keep to no line, as files and pipes give them. */
function inChunks(bytes: Buffer, size: number): Readable {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return Readable.from(chunks, { objectMode: false });
}

const refusal = async (text: string | Uint8Array): Promise<UserError> => {
  const error = await read(text).then(
    () => null,
    (failed: unknown) => failed,
  );
  if (!(error instanceof UserError)) throw new Error(`Not refused: ${String(error)}`);
  expect(error.exitCode).toBe(ExitCode.usage);
  expect(error.message).toContain('No plan was made.');
  return error;
};

describe('ids from a text', () => {
  it.each([
    ['one a line', 'sess_1\nsess_2\nsess_3\n'],
    ['without an end of the last line', 'sess_1\nsess_2\nsess_3'],
    ['with a byte order mark and the line ends of Windows', '\uFEFFsess_1\r\nsess_2\r\nsess_3\r\n'],
    ['with white space around', '  sess_1\n\tsess_2  \nsess_3 '],
    ['with blank lines and comments', '# stuck\n\nsess_1\n  # why\nsess_2\n\n\nsess_3'],
    ['JSON strings', '"sess_1"\n"sess_2"\n"sess_3"\n'],
    ['JSON objects', '{"sessionId":"sess_1"}\n{"session_id":"sess_2","id":"no"}\n{"id":"sess_3"}\n'],
    ['CSV', 'agent,session_id,state\na,sess_1,queued\nb,sess_2,\n"c, d",sess_3,processing\n'],
    ['CSV of one column', 'sessionId\nsess_1\nsess_2\nsess_3'],
    ['CSV of one quoted column', '"id"\n"sess_1"\n"sess_2"\n"sess_3"\n'],
    [
      'CSV with the delimiter and the line ends of a spreadsheet',
      '\uFEFFid;Session_ID\r\n1;sess_1\r\n2;sess_2\r\n3;sess_3\r\n',
    ],
    [
      'CSV with tabs, a comment before it and line ends of both kinds',
      '# export\nID\tname\nsess_1\ta\r\nsess_2\tb\nsess_3\tc',
    ],
  ])('are read: %s', async (_what, text) => {
    expect(await idsOf(text)).toEqual(['sess_1', 'sess_2', 'sess_3']);
    expect(await idsOf(text, 1)).toEqual(['sess_1', 'sess_2', 'sess_3']);
  });

  it('takes the column with the best name', async () => {
    expect(await idsOf('id,sessionId\n1,sess_1\n2,sess_2\n')).toEqual(['sess_1', 'sess_2']);
  });

  it('counts blank lines and comments, and keeps the lines of the others', async () => {
    const { ids, left } = await read('# list\n\nsess_1\n\nsess_2 \n#\n');
    expect(ids).toEqual([
      { sessionId: 'sess_1', line: 3 },
      { sessionId: 'sess_2', line: 5 },
    ]);
    expect(left).toMatchObject({ blank: 4, malformed: 0, examples: [] });
  });

  it('keeps the lines of CSV, cells over two lines and comments included', async () => {
    const { ids, left } = await read('# a\nid,note\nsess_1,x\n# b\nsess_2,"over\ntwo"\n,none\n\nsess_3,y\n');
    expect(ids).toEqual([
      { sessionId: 'sess_1', line: 3 },
      { sessionId: 'sess_2', line: 6 },
      { sessionId: 'sess_3', line: 9 },
    ]);
    expect(left).toMatchObject({ blank: 4, malformed: 0 });
  });

  it('CSV has no comments where a row can be: a row that begins with # is one, and is told', async () => {
    const { ids, left } = await read('agent,session_id\n#general-bot,sess_1\nb,sess_2\n# c;d,sess_3\n');
    expect(ids).toEqual([
      { sessionId: 'sess_1', line: 2 },
      { sessionId: 'sess_2', line: 3 },
      { sessionId: 'sess_3', line: 4 },
    ]);
    expect(left).toMatchObject({ blank: 0, malformed: 0, hashRows: { count: 2, examples: ['line 2', 'line 4'] } });
  });

  it.each([
    ['whose first column is a number sign', '#,session_id\n1,sess_1\n'],
    ['whose first name begins with one', '#agent;session_id\n#a;sess_1\n'],
  ])('CSV may have a header %s', async (_what, text) => {
    expect(await idsOf(text)).toEqual(['sess_1']);
  });

  it('takes a line that begins with # for a comment in CSV where it can be no row', async () => {
    const text = '# a, b\nid,note\nsess_1,"x\n# not one\n"\n# don\'t "quote\n#sess_9\nsess_2,y\n';
    const { ids, left } = await read(text);
    expect(ids).toEqual([
      { sessionId: 'sess_1', line: 5 },
      { sessionId: 'sess_2', line: 8 },
    ]);
    expect(left).toMatchObject({ blank: 3, malformed: 0, hashRows: { count: 0 } });
    expect(await idsOf('session_id\nsess_1\n#sess_9\n')).toEqual(['sess_1']);
  });

  it('counts what is no id, names the first five with their lines, and goes on', async () => {
    const lines = ['sess_1', 'two words', 'a/b', '..', '{"id":"sess_9"}', 'a,b', 'x'.repeat(300), 'sess_2'];
    const { ids, left } = await read(lines.join('\n'));
    expect(ids.map(({ sessionId }) => sessionId)).toEqual(['sess_1', 'sess_2']);
    expect(left.malformed).toBe(6);
    expect(left.examples).toEqual([
      'line 2: "two words"',
      'line 3: "a/b"',
      'line 4: ".."',
      'line 5: "{\\"id\\":\\"sess_9\\"}"',
      'line 6: "a,b"',
    ]);
  });

  it('counts JSON lines without an id as malformed', async () => {
    const text = '{"id":"sess_1"}\n{"name":"x"}\n{"id":7}\nnull\n{"id":\nsess_2\n{"sessionId":null,"id":"sess_3"}\n';
    const { ids, left } = await read(text);
    expect(ids.map(({ sessionId }) => sessionId)).toEqual(['sess_1', 'sess_3']);
    expect(left).toMatchObject({ malformed: 5, blank: 0 });
  });

  it('leaves duplicates to the ledger, and gives a long text in batches', async () => {
    const { ids, batches } = await read('sess_1\n'.repeat(2_500), 64 * 1024);
    expect(ids).toHaveLength(2_500);
    expect(batches).toBe(3);
  });
});

it('a file in UTF-16 is named as that, with or without its mark', async () => {
  for (const text of ['\uFEFFsess_1\n', 'sess_1\n']) {
    expect((await refusal(Buffer.from(text, 'utf16le'))).message).toContain('is in UTF-16, but must be in UTF-8');
  }
});

describe('a text that is no use', () => {
  it.each([
    ['nothing', '', 'it is empty'],
    ['comments alone', '# a\n\n# b\n', 'only blank lines and comments'],
    ['malformed lines alone', 'a b\nc d\n', '2 lines hold none (line 1: "a b"; line 2: "c d")'],
    ['a header alone', 'session_id,agent\n', 'holds no session id'],
  ])('%s is refused', async (_what, text, why) => {
    const error = await refusal(text);
    expect(error.message).toContain(why);
    expect(error.next).toContain('one id a line');
  });

  it('a JSON array is refused with the command that makes lines of it', async () => {
    const error = await refusal('["sess_1","sess_2"]');
    expect(error.message).toContain('JSON array');
    expect(error.next).toContain('jq -r');
  });

  it('JSON over several lines is refused', async () => {
    const error = await refusal('{\n  "id": "sess_1"\n}\n');
    expect(error.next).toContain('jq -c');
  });

  it('CSV without a column of ids is refused, and its columns are named', async () => {
    const error = await refusal('agent,state\na,queued\n');
    expect(error.message).toContain('"agent", "state"');
    expect(error.next).toContain('header');
  });

  it('CSV with a quote that is not closed is refused', async () => {
    expect((await refusal('id,note\nsess_1,"x\nsess_2,y\n')).message).toContain('not valid CSV');
  });

  it.each([
    ['binary data', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 3])],
    ['UTF-16', Buffer.from('sess_1\nsess_2\n', 'utf16le')],
    ['bytes that are no UTF-8', Buffer.from([0x73, 0xff, 0xfe, 0x0a])],
    ['a letter cut off at the end', Buffer.from('sess_ä').subarray(0, 6)],
    ['a letter cut off at the end of a line', Buffer.from('sess_ä\nsess_2').subarray(0, 6)],
    ['a line without end', Buffer.alloc(1_100_000, 'x')],
  ])('%s is refused', async (_what, bytes) => {
    const error = await readAll(idsFromStream(inChunks(bytes, 64 * 1024), 'ids.bin')).then(
      () => null,
      (failed: unknown) => failed,
    );
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ exitCode: 2, next: expect.stringContaining('UTF-8') as unknown });
  });
});

describe('a text that stops being of use after a while', () => {
  const rows = (count: number): string => Array.from({ length: count }, (_, n) => `sess_${n},note`).join('\n');
  const id = 'session_id,note\n';
  const lines = (count: number): string => Array.from({ length: count }, (_, n) => `sess_${n}`).join('\n');
  const faults: [string, string, Buffer, string][] = [
    ['CSV', id + rows(9_999), Buffer.from([0x73, 0xff, 0x0a]), 'line 10001 holds bytes of another encoding'],
    ['lines', lines(10_000), Buffer.from([0x73, 0xff, 0x0a]), 'line 10001 holds bytes of another encoding'],
    ['CSV', id + rows(9_999), Buffer.from('a\0b\n'), 'line 10001 holds bytes of another encoding, or binary'],
    ['CSV', id + rows(9_999), Buffer.from(`x,${'y'.repeat(1_100_000)}\n`), 'line 10001 has more than 1048576 bytes'],
    ['lines', lines(10_000), Buffer.from(`${'é'.repeat(600_000)}`), 'line 10001 has more than 1048576 bytes'],
    [
      'CSV',
      `# c\n\n${id}${rows(9_997)}`,
      Buffer.from('sess,"x\nsess_2,y\n'),
      'line 10001 has a quote that is never closed',
    ],
    ['CSV', id + rows(9_999), Buffer.from('sess,"x"y\n'), 'line 10001 has a quote within a cell'],
    [
      'CSV',
      id + rows(9_999),
      Buffer.from(`sess,"${`${'x'.repeat(999)}\n`.repeat(1_200)}`),
      'line 10001 has a row of more than',
    ],
  ];

  it.each(faults)('S9: %s is refused with the line and the cause (%#)', async (_form, before, fault, why) => {
    const whole = Buffer.concat([Buffer.from(`${before}\n`), fault, Buffer.from('sess_last,note\n')]);
    for (const chunk of [64 * 1024, 3 * 1024 * 1024]) {
      const error = await readAll(idsFromStream(inChunks(whole, chunk), 'ids.csv')).then(
        () => null,
        (failed: unknown) => failed,
      );
      expect(error).toBeInstanceOf(UserError);
      expect(error).toMatchObject({ exitCode: 2, message: expect.stringContaining(why) as unknown });
      expect((error as UserError).message).toContain('No plan was made.');
    }
  });

  it('S9: and fails to be read is refused as well', async () => {
    const broken = Readable.from(
      (function* () {
        yield Buffer.from(id + rows(9_999));
        throw Object.assign(new Error('read failed'), { code: 'EIO', syscall: 'read' });
      })(),
      { objectMode: false },
    );
    await expect(readAll(idsFromStream(broken, 'ids.csv'))).rejects.toMatchObject({
      exitCode: 2,
      message: "ids.csv can't be read (EIO). No plan was made.",
    });
  });
});

describe('ids from a file', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'curfew-ids-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('are read', async () => {
    const path = join(folder, 'ids.txt');
    writeFileSync(path, 'sess_1\nsess_2\n');
    expect((await readAll(idsFromFile(path))).ids).toHaveLength(2);
  });

  it('say what to do about a file that is not there, or is a folder', async () => {
    const missing = expect.objectContaining({ name: 'UserError', exitCode: 2, next: 'Check the path.' });
    expect(() => idsFromFile(join(folder, 'none.txt'))).toThrow(missing);
    const isFolder = readAll(idsFromFile(folder));
    await expect(isFolder).rejects.toMatchObject({ name: 'UserError', exitCode: 2 });
  });
});

it('ids that were typed have places as lines have', async () => {
  const { ids } = await readAll(idsFromList(['sess_1', 'sess_2']));
  expect(ids[1]).toEqual({ sessionId: 'sess_2', line: 2 });
});

it('the same ids come out of every form, whatever stands around them', async () => {
  const id = fc
    .stringMatching(/^[A-Za-z0-9_.:-]{1,30}$/)
    .filter((text) => !/^(\.\.?|sessionid|session_id|id)$/i.test(text));
  await fc.assert(
    fc.asyncProperty(
      fc.array(id, { minLength: 1, maxLength: 20 }),
      fc.constantFrom('\n', '\r\n'),
      fc.constantFrom('', '\uFEFF'),
      fc.integer({ min: 1, max: 50 }),
      fc.string({ maxLength: 12 }).filter((text) => !text.includes('\0') && !/[\ud800-\udfff]/.test(text)),
      fc.constantFrom(',', ';', '\t'),
      async (ids, end, mark, chunk, other, delimiter) => {
        const forms = [
          ids.join(end),
          ids.map((one) => JSON.stringify(one)).join(end),
          ids.map((sessionId) => JSON.stringify({ other, sessionId })).join(end),
          stringify(
            ids.map((one) => [other, one]),
            {
              header: true,
              columns: ['name', 'session_id'],
              record_delimiter: end,
              delimiter,
              quoted: true,
            },
          ),
        ];
        for (const form of forms) expect(await idsOf(`${mark}# list${end}${form}`, chunk)).toEqual(ids);
      },
    ),
    { numRuns: 60 },
  );
});
