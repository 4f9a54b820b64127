import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { keepApiKey } from '../../src/adapters/temporal/api-key.js';
import {
  connectClient,
  connectWorker,
  resolveTemporal,
  type TemporalTarget,
} from '../../src/adapters/temporal/connection.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/adapters/temporal/embedded.js';
import { runCurfew, settingsFor, type Settings } from '../support/curfew-process.js';
import { makeHome, removeHome, temporalBinary, until } from '../support/embedded-server.js';
import { installQuietRuntime, OBTAIN_LIMIT_MS } from '../support/temporal.js';
import { makeCertificates, startTlsFront, type Certificates, type TlsFront } from '../support/tls-front.js';

const SECRET = 'tmprl-secret-0123456789';

let home: string;
let server: EmbeddedServer;
let certificates: Certificates;
/** Server certificate alone, and client certificates too. */
let tls: TlsFront;
let mutual: TlsFront;

beforeAll(async () => {
  installQuietRuntime();
  home = makeHome();
  const binary = await temporalBinary();
  server = await startEmbeddedServer({ home, binary, env: process.env, searchAttributes: {}, ui: false });
  const folder = join(dirname(home), 'certificates');
  mkdirSync(folder);
  certificates = await makeCertificates(folder);
  tls = await startTlsFront(server.address, certificates, false);
  mutual = await startTlsFront(server.address, certificates, true);
}, OBTAIN_LIMIT_MS);

afterAll(async () => {
  await tls.close();
  await mutual.close();
  await server.stop();
  removeHome(home);
});

beforeEach(() => {
  tls.wanted = null;
  tls.authorizations.length = 0;
});

const trusting = (front: TlsFront): Settings => ({
  TEMPORAL_ADDRESS: front.address,
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: certificates.ca,
});
const showing = ({ cert, key }: Certificates['client']): Settings => ({
  TEMPORAL_TLS_CLIENT_CERT_PATH: cert,
  TEMPORAL_TLS_CLIENT_KEY_PATH: key,
});
const targetOf = (settings: Settings): TemporalTarget => resolveTemporal({ env: { HOME: home, ...settings }, home });

/** Connects in both of the SDK's ways, and asks something. */
async function use(settings: Settings): Promise<void> {
  const target = targetOf(settings);
  const connected = await connectClient(target, { retryForMs: 0 });
  await connected.client.workflow.count().finally(() => connected.close());
  const native = await connectWorker(target, { retryForMs: 0 });
  await native.workflowService.describeNamespace({ namespace: 'default' }).finally(() => native.close());
}

async function failure(settings: Settings): Promise<UserError> {
  const errors = await Promise.all(
    [connectClient, connectWorker].map((connect) =>
      connect(targetOf(settings), { retryForMs: 0 }).then(
        () => null,
        (error: unknown) => error,
      ),
    ),
  );
  const [error] = errors;
  if (!(error instanceof UserError)) throw new Error(`expected a UserError, got ${String(error)}`);
  expect(errors[1]).toBeInstanceOf(UserError);
  expect(error.exitCode).toBe(ExitCode.unreachable);
  return error;
}

describe('Temporal behind TLS', () => {
  it('works with its authority, by address and by the name in the certificate', async () => {
    await use(trusting(tls));
    await use({ ...trusting(tls), TEMPORAL_TLS_SERVER_NAME: 'temporal.test' });
  });

  it('is not trusted without its authority, with another one, or under another name', async () => {
    const cases: Settings[] = [
      { TEMPORAL_ADDRESS: tls.address, TEMPORAL_TLS: 'true' },
      { TEMPORAL_ADDRESS: tls.address, TEMPORAL_TLS_SERVER_CA_CERT_PATH: certificates.otherCa },
      { ...trusting(tls), TEMPORAL_TLS_SERVER_NAME: 'elsewhere.test' },
    ];
    for (const settings of cases) {
      const error = await failure(settings);
      expect(error.message).toContain('shows a certificate that is not trusted');
      expect(error.next).toContain('TEMPORAL_TLS_SERVER_CA_CERT_PATH');
    }
    expect(tls.authorizations).toEqual([]);
  });

  it('is said to want TLS when it is asked without', async () => {
    const error = await failure({ TEMPORAL_ADDRESS: tls.address });
    expect(error.message).toContain(`Temporal at ${tls.address} can't be reached`);
  });

  it('needs a client certificate, and takes that of its authority alone', async () => {
    await use({ ...trusting(mutual), ...showing(certificates.client) });
    for (const settings of [trusting(mutual), { ...trusting(mutual), ...showing(certificates.stranger) }]) {
      const error = await failure(settings);
      expect(error.message).toMatch(/needs (TLS, or )?a client certificate/);
    }
  });

  it('ends a command with exit code 4, in words without secrets', async () => {
    const settings = await settingsFor(dirname(home), {
      ...{ TEMPORAL_ADDRESS: tls.address, TEMPORAL_TLS_SERVER_CA_CERT_PATH: certificates.otherCa },
      TEMPORAL_API_KEY: SECRET,
    });
    const { code, stdout, stderr } = await runCurfew(['cancel', 'sess_1'], settings);
    expect([code, stdout]).toEqual([ExitCode.unreachable, '']);
    // Node warns beforehand that it was given an address for a server name.
    expect(stderr).toMatch(/^curfew: Temporal at .+ not trusted .+\n {2}next: .+\n$/m);
    expect(stderr).not.toContain(SECRET);
  });
});

describe('an API key for Temporal', () => {
  it.each(['TEMPORAL_API_KEY', 'TEMPORAL_API_KEY_FILE'])('goes along as a bearer token, from %s', async (name) => {
    const file = join(dirname(home), 'key');
    writeFileSync(file, `${SECRET}\n`, { mode: 0o600 });
    tls.wanted = `Bearer ${SECRET}`;
    await use({ ...trusting(tls), [name]: name.endsWith('_FILE') ? file : SECRET });
    expect(tls.authorizations.length).toBeGreaterThan(0);
    expect(new Set(tls.authorizations)).toEqual(new Set([`Bearer ${SECRET}`]));
  });

  it('that is refused is told without it', async () => {
    tls.wanted = 'Bearer another';
    const error = await failure({ ...trusting(tls), TEMPORAL_API_KEY: SECRET });
    expect(error.message).toContain('refuses our credentials');
    expect(error.message + error.next).not.toContain(SECRET);
  });

  it('is taken up by open connections when its file changes', async () => {
    const file = join(dirname(home), 'rotated-key');
    writeFileSync(file, SECRET);
    tls.wanted = `Bearer ${SECRET}`;
    const target = targetOf({ ...trusting(tls), TEMPORAL_API_KEY_FILE: file });
    const client = await connectClient(target);
    const native = await connectWorker(target);
    const stop = new AbortController();
    let logged = '';
    const log = pino({ level: 'debug' }, { write: (line: string) => void (logged += line) });
    const kept = keepApiKey(target, [native, client.connection], log, stop.signal, 20);
    writeFileSync(file, 'not\nusable');
    await until(() => logged.includes('The last good key stays in use'));
    await client.client.workflow.count();
    writeFileSync(file, `${SECRET}-2\n`);
    await until(() => logged.includes('took up the new key'));
    tls.wanted = `Bearer ${SECRET}-2`;
    await client.client.workflow.count();
    await native.workflowService.describeNamespace({ namespace: 'default' });
    stop.abort();
    await kept;
    expect(logged).not.toContain(SECRET);
    await client.close();
    await native.close();
  });

  it('is not taken from two places', () => {
    const settings = { ...trusting(tls), TEMPORAL_API_KEY: SECRET, TEMPORAL_API_KEY_FILE: '/nowhere' };
    expect(() => targetOf(settings)).toThrow('TEMPORAL_API_KEY and TEMPORAL_API_KEY_FILE are both set');
  });
});
