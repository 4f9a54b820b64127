import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { explainConnectionFailure } from '../../src/adapters/temporal/connection-failure.js';
import {
  clusterIdentity,
  connectClient,
  connectWorker,
  resolveTemporal,
  type TemporalTarget,
} from '../../src/adapters/temporal/connection.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/adapters/temporal/embedded.js';
import { choosePorts } from '../../src/adapters/temporal/server-process.js';
import { makeHome, removeHome, temporalBinary } from '../support/embedded-server.js';

const SECRET = 'tmprl-secret-0123456789';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'curfew-connection-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const resolve = (env: Record<string, string>) => resolveTemporal({ env: { HOME: folder, ...env }, home: folder });

function configured(env: Record<string, string>) {
  const target = resolve(env);
  if (target.kind !== 'configured') throw new Error(`expected a configured Temporal, got ${target.kind}`);
  return target;
}

function refusal(env: Record<string, string>): UserError {
  try {
    resolve(env);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return error as UserError;
  }
  throw new Error('expected a refusal');
}

async function failure(promise: Promise<unknown>): Promise<UserError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
}

describe('which Temporal is used', () => {
  it('is none when nothing names one and none runs in the home', () => {
    expect(resolve({})).toEqual({ kind: 'none' });
  });

  it('is none when variables are there but empty, as compose files leave them', () => {
    expect(resolve({ TEMPORAL_ADDRESS: '', TEMPORAL_API_KEY: ' ', TEMPORAL_PROFILE: '' })).toEqual({ kind: 'none' });
  });

  it('is none when only a namespace is given: that names no server', () => {
    expect(resolve({ TEMPORAL_NAMESPACE: 'mine' })).toEqual({ kind: 'none' });
  });

  it('is the one that TEMPORAL_ADDRESS names', () => {
    expect(resolve({ TEMPORAL_ADDRESS: 'temporal.test:7233', TEMPORAL_NAMESPACE: 'mine' })).toEqual({
      kind: 'configured',
      address: 'temporal.test:7233',
      namespace: 'mine',
      options: { address: 'temporal.test:7233' },
      apiKeyFile: null,
      encryption: expect.objectContaining({ on: false }),
      describe: 'Temporal at temporal.test:7233 (namespace mine)',
    });
  });

  it('uses TLS with an API key, and shows the key to nobody', () => {
    const target = configured({ TEMPORAL_ADDRESS: 'ns.acct.tmprl.cloud:7233', TEMPORAL_API_KEY: SECRET });
    expect(target.options).toMatchObject({ tls: true, apiKey: SECRET });
    expect(target.describe).toBe('Temporal at ns.acct.tmprl.cloud:7233 (namespace default, TLS, API key)');
  });

  it('reads the config file of the `temporal` CLI, which the environment overrides', () => {
    mkdirSync(join(folder, '.config', 'temporalio'), { recursive: true });
    writeFileSync(
      join(folder, '.config', 'temporalio', 'temporal.toml'),
      '[profile.default]\naddress = "file:7233"\nnamespace = "from-file"\n[profile.prod]\naddress = "prod:7233"\n',
    );
    // Where the file lies differs by platform; by its name it is found on each.
    const file = { TEMPORAL_CONFIG_FILE: join(folder, '.config', 'temporalio', 'temporal.toml') };
    expect(configured(file)).toMatchObject({ address: 'file:7233', namespace: 'from-file' });
    expect(configured({ ...file, TEMPORAL_PROFILE: 'prod' })).toMatchObject({
      address: 'prod:7233',
      namespace: 'default',
    });
    expect(configured({ ...file, TEMPORAL_ADDRESS: 'env:1' })).toMatchObject({
      address: 'env:1',
      namespace: 'from-file',
    });
    if (process.platform === 'linux') expect(configured({})).toMatchObject({ address: 'file:7233' });
  });

  it('takes client certificates from files', () => {
    for (const name of ['crt', 'key', 'ca']) writeFileSync(join(folder, name), name);
    const target = configured({
      TEMPORAL_ADDRESS: 'a:1',
      TEMPORAL_TLS_CLIENT_CERT_PATH: join(folder, 'crt'),
      TEMPORAL_TLS_CLIENT_KEY_PATH: join(folder, 'key'),
      TEMPORAL_TLS_SERVER_CA_CERT_PATH: join(folder, 'ca'),
      TEMPORAL_TLS_SERVER_NAME: 'temporal.test',
    });
    expect(target.options.tls).toEqual({
      clientCertPair: { crt: new Uint8Array(Buffer.from('crt')), key: new Uint8Array(Buffer.from('key')) },
      serverRootCACertificate: new Uint8Array(Buffer.from('ca')),
      serverNameOverride: 'temporal.test',
    });
    expect(target.describe).toContain('TLS with client certificate');
  });

  it.each([
    ['a TLS file that is not there', { TEMPORAL_TLS_SERVER_CA_CERT_PATH: '/nowhere/ca.pem' }, '/nowhere/ca.pem'],
    ['a certificate without its key', { TEMPORAL_TLS_CLIENT_CERT_DATA: 'pem' }, 'client certificate without'],
    ['a key without its certificate', { TEMPORAL_TLS_CLIENT_KEY_DATA: 'pem' }, 'client key without'],
    [
      'a certificate given twice',
      { TEMPORAL_TLS_CLIENT_CERT_DATA: 'pem', TEMPORAL_TLS_CLIENT_CERT_PATH: '/x' },
      'both',
    ],
    ['a config file that is not there', { TEMPORAL_CONFIG_FILE: '/nowhere/temporal.toml' }, '/nowhere/temporal.toml'],
    ['a profile that is not there', { TEMPORAL_PROFILE: 'prodd' }, "Profile 'prodd'"],
    ['a key that can not be sent', { TEMPORAL_API_KEY: `${SECRET}\nmore` }, "characters that can't be sent"],
  ])('can not be told from %s', (_, env: Record<string, string>, words) => {
    let error: unknown;
    try {
      resolve({ TEMPORAL_ADDRESS: 'a:1', ...env });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ exitCode: ExitCode.usage });
    expect((error as UserError).message).toContain(words);
    expect((error as UserError).message + (error as UserError).next).not.toContain(SECRET);
  });

  // envconfig 1.24.0 takes every word but `true` and `1` for off, and the key would go out in the clear.
  it.each(['TRUE', 'True', 'yes', 'on', 'enabled', 'FALSE', 'no'])('is not guessed from TEMPORAL_TLS=%s', (value) => {
    const env = { TEMPORAL_ADDRESS: 'temporal.test:7233', TEMPORAL_API_KEY: SECRET, TEMPORAL_TLS: value };
    const error = refusal(env);
    expect(error).toMatchObject({ exitCode: ExitCode.usage });
    expect(error.message).toContain(`TEMPORAL_TLS is "${value}"`);
    expect(error.next).toMatch(/true or 1 .* false or 0/);
    expect(error.message + error.next).not.toContain(SECRET);
  });

  it.each([
    ['true', true],
    ['1', true],
    ['false', false],
    ['0', false],
  ])('takes TEMPORAL_TLS=%s as the `temporal` CLI does', (value, on) => {
    const { options } = configured({ TEMPORAL_ADDRESS: 'temporal.test:7233', TEMPORAL_TLS: value });
    expect(Boolean(options.tls)).toBe(on);
  });

  describe('with a key and without TLS', () => {
    const plain = { TEMPORAL_TLS: 'false', TEMPORAL_API_KEY: SECRET };

    it.each([
      'temporal.test:7233',
      '10.0.0.7:7233',
      '[fd00::1]:7233',
      'localhost.evil.test:7233',
      '127.evil.test:7233',
    ])('is refused at %s, another machine', (address) => {
      const error = refusal({ ...plain, TEMPORAL_ADDRESS: address });
      expect(error).toMatchObject({ exitCode: ExitCode.usage });
      expect(error.message).toContain(`API key would go to ${address} without TLS`);
      expect(error.message + error.next).not.toContain(SECRET);
    });

    it.each(['localhost:7233', '127.0.0.1:7233', '127.8.8.8:1', '[::1]:7233'])(
      'is taken at %s, this machine',
      (address) => {
        expect(configured({ ...plain, TEMPORAL_ADDRESS: address }).options).toMatchObject({
          apiKey: SECRET,
          tls: false,
        });
      },
    );

    it('is refused where the config file says so, and where the key is a header', () => {
      const file = join(folder, 'temporal.toml');
      writeFileSync(
        file,
        `[profile.default]\naddress = "a.test:1"\napi_key = "${SECRET}"\n[profile.default.tls]\ndisabled = true\n`,
      );
      expect(refusal({ TEMPORAL_CONFIG_FILE: file }).message).toContain('API key would go to a.test:1');
      const header = { TEMPORAL_ADDRESS: 'a.test:1', TEMPORAL_GRPC_META_AUTHORIZATION: `Bearer ${SECRET}` };
      expect(refusal(header).message).toContain('authorization header would go to a.test:1');
      expect(configured({ ...header, TEMPORAL_TLS: 'true' }).options.metadata).toBeDefined();
    });
  });

  it('shows the place of an error in the config file, and none of its keys', () => {
    const file = join(folder, 'temporal.toml');
    writeFileSync(file, `[profile.default]\naddress = "a:1"\napi_key = "${SECRET}\n`);
    expect(() => resolve({ TEMPORAL_CONFIG_FILE: file })).toThrow(/can't be read, line 3: Invalid TOML/);
    expect(() => resolve({ TEMPORAL_CONFIG_FILE: file })).not.toThrow(SECRET);
  });
});

describe('connecting to a Temporal that can not be used', () => {
  const listeners: Server[] = [];
  afterEach(() => {
    for (const listener of listeners.splice(0)) listener.close();
  });

  /** Listens on a loopback port. @returns its address */
  async function listen(server: Server): Promise<string> {
    listeners.push(server);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async function closedPort(): Promise<string> {
    return `127.0.0.1:${(await choosePorts([], false)).grpc}`;
  }

  it('says that no Curfew runs here when there is none', async () => {
    const error = await failure(connectClient({ kind: 'none' }));
    expect(error).toMatchObject({ exitCode: ExitCode.unreachable });
    expect(error.message).toContain('No Curfew runs here');
    expect(error.next).toContain('curfew up');
    expect(await failure(connectWorker({ kind: 'none' }))).toEqual(error);
  });

  it.each(['client', 'worker'])('tries again for a while, telling why, as %s', async (role) => {
    const address = await closedPort();
    const retries: { attempt: number; waitMs: number; error: UserError }[] = [];
    const target = configured({ TEMPORAL_ADDRESS: address });
    const options = { retryForMs: 6_000, onRetry: (retry: (typeof retries)[number]) => void retries.push(retry) };
    const error = await failure(role === 'client' ? connectClient(target, options) : connectWorker(target, options));
    expect(error).toMatchObject({ exitCode: ExitCode.unreachable });
    expect(error.message).toBe(`Temporal at ${address} can't be reached (connection refused).`);
    expect(retries.length).toBeGreaterThan(0);
    retries.forEach(({ attempt, waitMs }, index) => {
      expect([attempt, waitMs]).toEqual([index + 1, 250 * 2 ** index]);
    });
    expect(retries[0]?.error.message).toContain('connection refused');
  });

  it('stops trying when one has enough', async () => {
    const stop = new AbortController();
    const options = { retryForMs: 60_000, signal: stop.signal, onRetry: () => stop.abort() };
    const target = configured({ TEMPORAL_ADDRESS: await closedPort() });
    await expect(connectClient(target, options)).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('says that what answers is not Temporal', async () => {
    const address = await listen(createHttpServer((_, response) => response.end('hello')));
    const error = await failure(connectClient(configured({ TEMPORAL_ADDRESS: address }), { retryForMs: 0 }));
    expect(error.message).toContain(address);
  });

  it('says that the server speaks no TLS when we want it', async () => {
    const address = await listen(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const env = { TEMPORAL_ADDRESS: address, TEMPORAL_API_KEY: SECRET };
    const error = await failure(connectClient(configured(env), { retryForMs: 0 }));
    expect(error.message).toContain('it answers without TLS');
    expect(error.message + error.next).not.toContain(SECRET);
  });

  it('says that TLS files hold nothing usable', async () => {
    for (const name of ['crt', 'key']) writeFileSync(join(folder, name), 'no PEM');
    const env = {
      TEMPORAL_ADDRESS: await closedPort(),
      TEMPORAL_TLS_CLIENT_CERT_PATH: join(folder, 'crt'),
      TEMPORAL_TLS_CLIENT_KEY_PATH: join(folder, 'key'),
    };
    const error = await failure(connectClient(configured(env), { retryForMs: 60_000 }));
    expect(error.message).toContain('no matching pair in PEM form');
  });

  it.each([
    [16, 'Request unauthorized.', false, 'refuses our credentials'],
    [7, 'Request unauthorized.', false, 'refuses our credentials'],
    [5, 'Namespace mine is not found.', true, 'has no namespace "mine"'],
    [12, 'unknown service', false, "not Temporal's gRPC frontend"],
    [
      14,
      'No connection established. Last error: self-signed certificate',
      false,
      'not trusted (self-signed certificate)',
    ],
    [14, 'No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1', true, '(connection refused)'],
    [14, 'Name resolution failed for target dns:x:1, ENOTFOUND', true, '(no such host)'],
    [4, 'Deadline exceeded after 10s', true, '(no answer in time)'],
    [14, 'upstream connect error', true, '(upstream connect error)'],
  ])('has its own words for gRPC status %i, "%s"', (code, details, retryable, words) => {
    const cause = Object.assign(new Error(details), { code, details, metadata: {} });
    const explained = explainConnectionFailure(cause, 'a:1', 'mine');
    expect(explained.retryable).toBe(retryable);
    expect(explained.error.message).toContain(words);
    expect(explained.error.exitCode).toBe(ExitCode.unreachable);
  });
});

describe('connecting to a Temporal that runs', () => {
  let home: string;
  let server: EmbeddedServer;
  beforeAll(async () => {
    home = makeHome();
    const binary = await temporalBinary();
    server = await startEmbeddedServer({ home, binary, env: process.env, searchAttributes: {}, ui: false });
  });
  afterAll(async () => {
    await server.stop();
    removeHome(home);
  });

  const target = (namespace = 'default'): TemporalTarget =>
    configured({ TEMPORAL_ADDRESS: server.address, TEMPORAL_NAMESPACE: namespace });

  it('works for clients and workers, configured and embedded', async () => {
    for (const each of [target(), resolveTemporal({ env: { HOME: home }, home })]) {
      const connected = await connectClient(each);
      const { client, namespace } = connected;
      expect(namespace).toBe('default');
      expect((await client.workflow.count()).count).toBe(0);
      await connected.close();
      const native = await connectWorker(each);
      const { namespaceInfo } = await native.workflowService.describeNamespace({ namespace });
      expect(namespaceInfo?.name).toBe('default');
      await native.close();
    }
  });

  it('is preferred to the embedded server of the home when it is configured', () => {
    expect(resolveTemporal({ env: { HOME: home, TEMPORAL_ADDRESS: 'other:7233' }, home })).toMatchObject({
      kind: 'configured',
      address: 'other:7233',
    });
  });

  it('tells that the namespace is missing', async () => {
    const error = await failure(connectClient(target('nowhere'), { retryForMs: 0 }));
    expect(error.message).toBe(`Temporal at ${server.address} answers, but has no namespace "nowhere".`);
    expect(error.next).toContain('temporal operator namespace create -n nowhere');
  });

  it('can be recognised again, and told from another', async () => {
    const first = await connectClient(target());
    const second = await connectClient(target());
    const identity = await clusterIdentity(first.client);
    expect(identity).toEqual(await clusterIdentity(second.client));
    expect(identity.clusterId).toMatch(/^[0-9a-f-]{36}$/);
    expect(identity.namespaceId).toMatch(/^[0-9a-f-]{36}$/);
    expect(identity.clusterId).not.toBe(identity.namespaceId);
    await first.close();
    await second.close();
  });
});
