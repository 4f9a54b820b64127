import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import { payloadEncryption } from '../../src/adapters/codec/encryption.js';
import { startCodecServer, type CodecServer, type CodecServerOptions } from '../../src/adapters/codec/server.js';
import { ExitCode } from '../../src/core/errors.js';
import { createSecretFile } from '../../src/platform/secret-file.js';

const ORIGIN = 'http://127.0.0.1:8233';
const key = randomBytes(32).toString('base64');
const bearer = randomBytes(16).toString('hex');

let folder: string;
const servers: CodecServer[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-codec-server-'));
  writeFileSync(join(folder, 'keys'), `k1: ${key}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'token'), `${bearer}\n`, { mode: 0o600 });
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(options: Partial<CodecServerOptions> = {}): Promise<string> {
  const server = await startCodecServer({
    codec: payloadEncryption({ CURFEW_CODEC_KEYS_FILE: join(folder, 'keys') }).codec,
    ...{ host: '127.0.0.1', port: 0, origins: [ORIGIN], token: null },
    ...options,
  });
  servers.push(server);
  return server.url;
}

const withToken = () => ({ token: createSecretFile(join(folder, 'token'), () => null) });

const json = (value: unknown) => {
  const { metadata, data } = defaultPayloadConverter.toPayload(value);
  const base64 = (bytes: Uint8Array | null | undefined) => Buffer.from(bytes ?? []).toString('base64');
  return { metadata: { encoding: base64(metadata?.['encoding']) }, data: base64(data) };
};

const post = (url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-namespace': 'default', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

describe('the codec server', () => {
  it('encodes and decodes payloads in Temporal’s JSON form', async () => {
    const url = await start();
    const payloads = [json({ sessionId: 'sess_1' }), json(null)];
    const encoded = (await (await post(`${url}/encode`, { payloads })).json()) as {
      payloads: (typeof payloads)[number][];
    };
    expect(encoded.payloads).toHaveLength(2);
    expect(Buffer.from(encoded.payloads[0]?.metadata.encoding ?? '', 'base64').toString()).toBe('binary/encrypted');
    const decoded = await post(`${url}/decode`, encoded);
    expect(await decoded.json()).toEqual({ payloads });
    expect(await (await post(`${url}/decode`, { payloads })).json()).toEqual({ payloads });
    expect(await (await post(`${url}/decode`, {})).json()).toEqual({ payloads: [] });
  });

  it('lets pages of the UI’s origin ask, and no others', async () => {
    const url = await start();
    const preflight = (origin: string) =>
      fetch(`${url}/decode`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type,x-namespace',
        },
      });
    const allowed = (await preflight(ORIGIN)).headers;
    expect(allowed.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(allowed.get('access-control-allow-headers')).toContain('x-namespace');
    expect((await preflight('http://elsewhere.test')).headers.get('access-control-allow-origin')).toBeNull();
    const answer = await post(`${url}/decode`, { payloads: [] }, { origin: 'http://elsewhere.test' });
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('answers no page whose host name was made to point at this machine', async () => {
    const url = new URL(await start());
    const status = (host: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const call = request(
          {
            host: url.hostname,
            port: url.port,
            path: '/decode',
            method: 'POST',
            headers: { host, 'content-type': 'application/json' },
          },
          (response) => {
            response.resume();
            resolve(response.statusCode ?? 0);
          },
        );
        call.on('error', reject).end('{"payloads":[]}');
      });
    expect(await status(`rebound.test:${url.port}`)).toBe(403);
    expect(await status('127.0.0.1.rebound.test')).toBe(403);
    expect(await status(`localhost:${url.port}`)).toBe(200);
  });

  it('wants the token where one is set', async () => {
    const url = await start(withToken());
    const body = { payloads: [] };
    expect((await post(`${url}/decode`, body)).status).toBe(401);
    for (const wrong of ['Bearer', 'Bearer x', `Bearer ${bearer}x`, `Basic ${bearer}`, bearer]) {
      const answer = await post(`${url}/decode`, body, { authorization: wrong });
      expect(answer.status).toBe(401);
      expect(await answer.text()).not.toContain(bearer);
    }
    expect((await post(`${url}/decode`, body, { authorization: `Bearer ${bearer}` })).status).toBe(200);
  });

  it('is not open to the network without a token', async () => {
    await expect(start({ host: '0.0.0.0' })).rejects.toMatchObject({ exitCode: ExitCode.refused });
    await expect(start({ host: '0.0.0.0', ...withToken() })).resolves.toContain('http://');
  });

  it.each<[string, unknown, number]>([
    ['no JSON', `{"payloads": "${key}`, 400],
    ['a list', [], 400],
    ['payloads that are none', { payloads: [key] }, 400],
    ['data that is no base64', { payloads: [{ metadata: {}, data: `**${key}` }] }, 400],
    ['more than it takes', { payloads: [{ data: 'A'.repeat(17 * 1024 * 1024) }] }, 413],
    [
      'an unknown key',
      { payloads: [{ metadata: { encoding: b64('binary/encrypted'), 'encryption-key-id': b64('k7') }, data: '' }] },
      400,
    ],
  ])('refuses %s without repeating what it was sent', async (_, body, status) => {
    const answer = await post(`${await start()}/decode`, body);
    const text = await answer.text();
    expect([answer.status, text]).toEqual([status, expect.stringMatching(/^\{"message":"[^}]+[^{]*"\}$/)]);
    expect(text).not.toContain(key.slice(0, 8));
  });

  it('says which key is missing', async () => {
    const unknown = { metadata: { encoding: b64('binary/encrypted'), 'encryption-key-id': b64('k7') }, data: '' };
    expect(await (await post(`${await start()}/decode`, { payloads: [unknown] })).text()).toContain('k7');
  });

  it('says that its port is taken', async () => {
    const { port } = new URL(await start());
    await expect(start({ port: Number(port) })).rejects.toMatchObject({ exitCode: ExitCode.unreachable });
  });
});

function b64(text: string): string {
  return Buffer.from(text).toString('base64');
}
