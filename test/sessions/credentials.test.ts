import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdtemp, mkdir, rename, rm, truncate, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCredentials, type Credentials } from '../../src/adapters/vendor/index.js';
import { failureOf, Started } from './support.js';

const started = new Started();
let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-credentials-'));
  file = join(folder, 'key');
});
afterEach(async () => {
  jest.restoreAllMocks();
  await started.stop();
  await rm(folder, { recursive: true });
});

const refusalOf = async (credentials: Credentials): Promise<{ message: string; next: string }> =>
  credentials.headers().then(
    () => {
      throw new Error('The credentials were expected to be refused.');
    },
    (error: unknown) => error as { message: string; next: string },
  );

describe('settings', () => {
  it('use a personal key together with the user id', async () => {
    const credentials = createCredentials({ GUMLOOP_API_KEY: ' key-1\n', GUMLOOP_USER_ID: 'u1' });
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer key-1', 'x-auth-key': 'u1' });
    expect(credentials.teamId).toBeNull();
    expect(credentials.describe()).toBe('personal key from GUMLOOP_API_KEY');
  });

  it('use an access token alone', async () => {
    const credentials = createCredentials({ GUMLOOP_ACCESS_TOKEN: 'token-1', GUMLOOP_USER_ID: 'u1' });
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer token-1' });
    expect(credentials.describe()).toBe('access token from GUMLOOP_ACCESS_TOKEN');
  });

  it('take a key for that of a team when a team is set', () => {
    const credentials = createCredentials({ GUMLOOP_API_KEY: 'k', GUMLOOP_USER_ID: 'u', GUMLOOP_TEAM_ID: ' t1 ' });
    expect(credentials.teamId).toBe('t1');
    expect(credentials.describe()).toBe('team key from GUMLOOP_API_KEY');
  });

  it('prefer the access token to the API key, as the vendor does, and say so', async () => {
    const credentials = createCredentials({ GUMLOOP_API_KEY: 'key-1', GUMLOOP_ACCESS_TOKEN: 'token-1' });
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer token-1' });
    expect(credentials.describe()).toBe(
      'access token from GUMLOOP_ACCESS_TOKEN (GUMLOOP_API_KEY is set too and not used)',
    );
  });

  it.each([{}, { GUMLOOP_API_KEY: '' }, { GUMLOOP_API_KEY: '  ', GUMLOOP_USER_ID: 'u' }])(
    'that hold no credential (%j) are refused with what to set',
    async (env) => {
      const { message, next } = await refusalOf(createCredentials(env));
      expect(message).toBe('No credential for the sessions API is set.');
      expect(next).toContain('GUMLOOP_API_KEY');
      expect(next).toContain('GUMLOOP_ACCESS_TOKEN');
      expect(createCredentials(env).describe()).toBe('no credential');
    },
  );

  it('that hold a key without its user are refused with what to set', async () => {
    const { message, next } = await refusalOf(createCredentials({ GUMLOOP_API_KEY: 'hunter2' }));
    expect(message + next).toContain('Set GUMLOOP_USER_ID');
    expect(message + next).not.toContain('hunter2');
  });

  it('that hold a key both directly and in a file are refused', async () => {
    await writeFile(file, 'key-2');
    const env = { GUMLOOP_API_KEY: 'hunter2', GUMLOOP_API_KEY_FILE: file, GUMLOOP_USER_ID: 'u' };
    const { message } = await refusalOf(createCredentials(env));
    expect(message).toContain('GUMLOOP_API_KEY and GUMLOOP_API_KEY_FILE');
    expect(message).not.toContain('hunter2');
  });

  it.each(['hunter2\r\nx-evil: 1', 'Bearer hunter2', 'hunter2é', 'hunter2\u0000'])(
    'that hold a key which breaks the header (%j) are refused without showing it',
    async (key) => {
      const credentials = createCredentials({ GUMLOOP_API_KEY: key, GUMLOOP_USER_ID: 'u' });
      const { message, next } = await refusalOf(credentials);
      expect(message).toContain('GUMLOOP_API_KEY cannot be used: it holds a space, a line break');
      expect(message + next + credentials.describe()).not.toContain('hunter2');
    },
  );

  it('that hold a user id which breaks the header are refused', async () => {
    const { message } = await refusalOf(createCredentials({ GUMLOOP_API_KEY: 'k', GUMLOOP_USER_ID: 'a\nb' }));
    expect(message).toContain('GUMLOOP_USER_ID cannot be used');
  });

  it('redact a key that begins with the other one as a whole, and its form in a URL', () => {
    const credentials = createCredentials({ GUMLOOP_API_KEY: 'abc+', GUMLOOP_ACCESS_TOKEN: 'abc+def' });
    expect(credentials.redact('abc+def, abc%2Bdef, abc+ and abc')).toBe('[redacted], [redacted], [redacted] and abc');
  });

  it.each(['gum_5ecret-Key+with=signs', 'a?>~b??>>~~c/d+e', 'hunter2hunter2'])(
    'S13: redact %s in base64, at any place of what was encoded, and percent-encoded',
    (key) => {
      const credentials = createCredentials({ GUMLOOP_API_KEY: key, GUMLOOP_USER_ID: 'u' });
      for (const encoding of ['base64', 'base64url'] as const) {
        for (const before of ['', ':', 'u:', 'Bearer ', 'user_42:', 'x'.repeat(11)]) {
          for (const behind of ['', '!', '!!', '!!!', ' and more']) {
            const text = Buffer.from(before + key + behind).toString(encoding);
            const shown = credentials.redact(`Authorization: Basic ${text}; retry`);
            expect(shown).toContain('[redacted]');
            // Whatever of it is left says nothing of the key.
            for (const part of shown.match(/[\w+/-]{4,}/g) ?? []) {
              for (const skip of [0, 1, 2, 3]) {
                expect(Buffer.from(part.slice(skip), encoding).toString()).not.toContain(key.slice(0, 4));
                expect(Buffer.from(part.slice(skip), encoding).toString()).not.toContain(key.slice(-4));
              }
            }
          }
        }
      }
      const all = [...key].map((sign) => `%${sign.charCodeAt(0).toString(16)}`).join('');
      for (const form of [encodeURIComponent(key), all, all.toUpperCase(), encodeURIComponent(key).toLowerCase()]) {
        if (form.toLowerCase() === form && /^[^%]*$/.test(form) && form !== key) continue;
        expect(credentials.redact(`key=${form}.`)).toBe('key=[redacted].');
      }
    },
  );

  it('do not print a key that was set as the name of a file by mistake', async () => {
    const credentials = createCredentials({ GUMLOOP_API_KEY_FILE: 'gum_hunter2', GUMLOOP_USER_ID: 'u' });
    const { message, next } = await refusalOf(credentials);
    expect(message).toBe('GUMLOOP_API_KEY_FILE cannot be used: it cannot be read (ENOENT).');
    expect(message + next + credentials.describe()).not.toContain('hunter2');
  });
});

describe('key files', () => {
  const credentials = (): Credentials => createCredentials({ GUMLOOP_API_KEY_FILE: file, GUMLOOP_USER_ID: 'u' });
  const keyOf = async (from: Credentials): Promise<string> => (await from.headers())['authorization'] ?? '';

  it('are read without the line break at their end', async () => {
    await writeFile(file, '\ufeffkey-1\r\n');
    const subject = credentials();
    expect(await keyOf(subject)).toBe('Bearer key-1');
    expect(subject.describe()).toBe('personal key from GUMLOOP_API_KEY_FILE');
  });

  it('are read again when they change, even to a value of the same length', async () => {
    await writeFile(file, 'key-1');
    const subject = credentials();
    expect(await keyOf(subject)).toBe('Bearer key-1');
    await writeFile(file, 'key-2');
    expect(await keyOf(subject)).toBe('Bearer key-2');
  });

  it('are read again when another file takes their place with the same time and size', async () => {
    // A minute later the file is no longer so young that it is read each time.
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000);
    const time = new Date('2026-07-23T12:00:00Z');
    await writeFile(file, 'key-1');
    await utimes(file, time, time);
    const subject = credentials();
    expect(await keyOf(subject)).toBe('Bearer key-1');
    await writeFile(`${file}.new`, 'key-2');
    await utimes(`${file}.new`, time, time);
    await rename(`${file}.new`, file);
    expect(await keyOf(subject)).toBe('Bearer key-2');
  });

  it.each<[string, () => Promise<void>, string]>([
    ['away', () => unlink(file), 'cannot be read (ENOENT)'],
    ['empty', () => truncate(file), 'is empty'],
    ['blank', () => writeFile(file, ' \n'), 'is empty'],
    ['half written', () => writeFile(file, 'key-2\nkey-3'), 'holds a space'],
    ['a folder', () => unlink(file).then(() => mkdir(file)), 'is not a regular file'],
    ['huge', () => writeFile(file, 'k'.repeat(65 * 1024)), 'is larger than'],
  ])('that are %s for a moment leave the last good key in use', async (_name, disturb, trouble) => {
    await writeFile(file, 'key-1');
    const subject = credentials();
    await keyOf(subject);
    await disturb();
    expect(await keyOf(subject)).toBe('Bearer key-1');
    expect(subject.describe()).toContain(trouble);

    await rm(file, { recursive: true, force: true });
    await writeFile(file, 'key-4');
    expect(await keyOf(subject)).toBe('Bearer key-4');
    expect(subject.describe()).toBe('personal key from GUMLOOP_API_KEY_FILE');
  });

  it('that appear later are used then', async () => {
    const subject = credentials();
    expect((await refusalOf(subject)).message).toContain('ENOENT');
    await writeFile(file, 'key-1');
    expect(await keyOf(subject)).toBe('Bearer key-1');
  });

  it('may hold an access token', async () => {
    await writeFile(file, 'token-1\n');
    const subject = createCredentials({ GUMLOOP_ACCESS_TOKEN_FILE: file });
    expect(await subject.headers()).toEqual({ authorization: 'Bearer token-1' });
    expect(subject.describe()).toBe('access token from GUMLOOP_ACCESS_TOKEN_FILE');
  });

  it('are redacted after a rotation too', async () => {
    await writeFile(file, 'key-1');
    const subject = credentials();
    await subject.headers();
    await writeFile(file, 'key-2');
    await subject.headers();
    expect(subject.redact('key-1 then key-2, key-3')).toBe('[redacted] then [redacted], key-3');
  });

  it('reach the requests of a running client when they change', async () => {
    const { origin, seen } = await started.json(200, { agents: [] });
    await writeFile(file, 'key-1');
    const client = started.client(origin, { credentials: credentials() });
    await client.listAgents();
    await writeFile(file, 'key-2');
    await client.listAgents();
    expect(seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer key-1', 'Bearer key-2']);
  });
});

describe('a client without a usable credential', () => {
  it('sends nothing, says what to set, and can be tried again', async () => {
    const { origin, seen } = await started.json(200, {});
    const error = await failureOf(
      started.client(origin, { credentials: createCredentials({}) }).cancelSession('sess_1'),
    );
    expect(error).toMatchObject({ kind: 'no-credential', accountWide: true, retryable: true, outcomeUnknown: false });
    expect(error.message).toContain('Set GUMLOOP_API_KEY');
    expect(seen).toEqual([]);
  });
});
