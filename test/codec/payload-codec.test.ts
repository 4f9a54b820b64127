import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { payloadEncryption } from '../../src/adapters/codec/encryption.js';
import { createKeyFile } from '../../src/adapters/codec/key-file.js';
import { createPayloadCodec } from '../../src/adapters/codec/payload-codec.js';
import { ExitCode, UserError } from '../../src/core/errors.js';

const [k1, k2] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
const plain = { sessionId: 'sess_1', look: 3 };

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-codec-'));
  path = join(folder, 'keys.yaml');
  write(`k1: ${k1}`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (text: string): void => writeFileSync(path, `${text}\n`, { mode: 0o600 });
const codecOfFile = () => payloadEncryption({ CURFEW_CODEC_KEYS_FILE: path }).codec;
const payloadOf = (value: unknown): Payload => defaultPayloadConverter.toPayload(value);
const valueOf = ([payload]: Payload[]): unknown => defaultPayloadConverter.fromPayload(payload ?? {});
const keyIdOf = (payload: Payload | undefined): string =>
  Buffer.from(payload?.metadata?.['encryption-key-id'] ?? []).toString();

async function failure(promise: Promise<unknown>): Promise<UserError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof UserError)) throw new Error(`expected a UserError, got ${String(error)}`);
  for (const key of [k1, k2]) expect(error.message + error.next).not.toContain(key.slice(0, 8));
  expect(error.exitCode).toBe(ExitCode.usage);
  return error;
}

describe('payload encryption', () => {
  it.each([[plain], ['text'], [null], [undefined], [new Uint8Array([0, 255])], ['x'.repeat(1_000_000)]])(
    'gives back %p as it was, and shows neither it nor its encoding on the way',
    async (value) => {
      const codec = codecOfFile();
      const original = payloadOf(value);
      const encrypted = await codec.encode([original]);
      expect(Object.keys(encrypted[0]?.metadata ?? {})).toEqual(['encoding', 'encryption-key-id']);
      expect(Buffer.from(encrypted[0]?.metadata?.['encoding'] ?? []).toString()).toBe('binary/encrypted');
      expect(keyIdOf(encrypted[0])).toBe('k1');
      for (const word of ['sess_1', 'json/plain', 'binary/null'])
        expect(Buffer.from(encrypted[0]?.data ?? []).includes(word)).toBe(false);
      expect(valueOf(await codec.decode(encrypted))).toEqual(value);
    },
  );

  it('never encrypts two payloads alike', async () => {
    const codec = codecOfFile();
    const data = (await codec.encode(Array.from({ length: 50 }, () => payloadOf(plain)))).map((payload) =>
      Buffer.from(payload.data ?? []).toString('hex'),
    );
    expect(new Set(data.map((hex) => hex.slice(0, 24))).size).toBe(50);
    expect(new Set(data).size).toBe(50);
  });

  it('reads payloads from before it was switched on', async () => {
    expect(valueOf(await codecOfFile().decode([payloadOf(plain)]))).toEqual(plain);
  });

  it('encrypts with the new first key from the next payload on, and still reads those of the old one', async () => {
    const codec = createPayloadCodec({
      // Without the pause between two looks.
      read: (id) => createKeyFile(path, 'X').read(id),
    });
    const before = await codec.encode([payloadOf(plain)]);
    write(`k2: ${k2}\nk1: ${k1}`);
    const after = await codec.encode([payloadOf(plain)]);
    expect([keyIdOf(before[0]), keyIdOf(after[0])]).toEqual(['k1', 'k2']);
    expect(valueOf(await codec.decode(before))).toEqual(plain);
    expect(valueOf(await codec.decode(after))).toEqual(plain);
  });

  it('names a key that is missing, and goes on as soon as the file has it', async () => {
    const encrypted = await codecOfFile().encode([payloadOf(plain)]);
    write(`k2: ${k2}`);
    const codec = codecOfFile();
    const error = await failure(codec.decode(encrypted));
    expect(error.message).toContain('the key "k1", which the file of CURFEW_CODEC_KEYS_FILE does not hold');
    write(`k2: ${k2}\nk1: ${k1}`);
    expect(valueOf(await codec.decode(encrypted))).toEqual(plain);
  });

  it('says what is missing where no keys are configured at all', async () => {
    const encrypted = await codecOfFile().encode([payloadOf(plain)]);
    const { codec, on } = payloadEncryption({});
    expect(on).toBe(false);
    expect(await codec.encode([payloadOf(plain)])).toEqual([payloadOf(plain)]);
    const error = await failure(codec.decode(encrypted));
    expect(error.message).toContain('no keys are configured here');
    expect(error.next).toContain('CURFEW_CODEC_KEYS_FILE');
  });

  it.each([
    ['changed in its text', (payload: Payload) => ({ ...payload, data: flipped(payload.data, 20) })],
    ['changed in its nonce', (payload: Payload) => ({ ...payload, data: flipped(payload.data, 0) })],
    ['changed in its tag', (payload: Payload) => ({ ...payload, data: flipped(payload.data, -1) })],
    ['cut', (payload: Payload) => ({ ...payload, data: payload.data?.subarray(0, -1) })],
    ['cut to almost nothing', (payload: Payload) => ({ ...payload, data: payload.data?.subarray(0, 5) })],
    ['without data', ({ metadata }: Payload) => ({ metadata })],
  ] as [string, (payload: Payload) => Payload][])('refuses a payload that was %s', async (_, change) => {
    const codec = codecOfFile();
    const [encrypted = {}] = await codec.encode([payloadOf(plain)]);
    expect((await failure(codec.decode([change(encrypted)]))).message).toContain('it was changed or cut');
  });

  it('refuses a payload under another id than it was encrypted with, even with the same key', async () => {
    write(`k1: ${k1}\nk9: ${k1}`);
    const codec = codecOfFile();
    const [encrypted = {}] = await codec.encode([payloadOf(plain)]);
    const renamed = { ...encrypted, metadata: { ...encrypted.metadata, 'encryption-key-id': Buffer.from('k9') } };
    expect((await failure(codec.decode([renamed]))).message).toContain('"k9"');
  });

  it('never sends anything in the clear because its keys are missing or broken', async () => {
    for (const text of ['', 'k1: nonsense', `k1 ${k1}`]) {
      write(text);
      await failure(codecOfFile().encode([payloadOf(plain)]));
    }
    rmSync(path);
    expect((await failure(codecOfFile().encode([payloadOf(plain)]))).message).toContain('ENOENT');
  });

  it('keeps the last good keys while the file is away or broken', async () => {
    const file = createKeyFile(path, 'X');
    const { keys } = await file.read();
    rmSync(path);
    // An id that is not known makes it look again.
    expect((await file.read('k2')).keys).toEqual(keys);
    write('k1: broken');
    expect((await file.read('k2')).keys).toEqual(keys);
  });

  it.each([
    [0o600, false],
    [0o640, false],
    [0o644, true],
    [0o660, true],
  ])('with file mode %o warns: %p', async (mode, warns) => {
    chmodSync(path, mode);
    const check = await payloadEncryption({ CURFEW_CODEC_KEYS_FILE: path }).check();
    expect(check).toMatchObject({ keyId: 'k1' });
    expect(check?.warning !== null).toBe(warns);
  });
});

function flipped(data: Uint8Array | null | undefined, at: number): Uint8Array {
  const copy = Uint8Array.from(data ?? []);
  const index = at < 0 ? copy.length + at : at;
  copy[index] = (copy[index] ?? 0) ^ 1;
  return copy;
}
