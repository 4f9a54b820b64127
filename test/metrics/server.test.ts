import { afterEach, describe, expect, it } from '@jest/globals';
import { ExitCode } from '../../src/core/errors.js';
import { readHttpAddress, urlOf } from '../../src/platform/http/address.js';
import { readSettings } from '../../src/platform/settings.js';
import { createHealth, type HealthBook } from '../../src/platform/http/health.js';
import { startHttpServer, type HttpServer } from '../../src/platform/http/server.js';
import { askAs } from '../support/ask.js';

let server: HttpServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function serve(health: HealthBook, metrics = () => Promise.resolve('curfew_paused 0\n')): Promise<string> {
  server = await startHttpServer({ address: { host: '127.0.0.1', port: 0 }, health, metrics });
  return server.url;
}
const get = async (url: string): Promise<[number, unknown]> => {
  const answer = await fetch(url);
  return [answer.status, await answer.json()];
};

describe('CURFEW_HTTP_ADDRESS', () => {
  it.each([
    ['127.0.0.1:9464', { host: '127.0.0.1', port: 9464 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    [' [::1]:80 ', { host: '::1', port: 80 }],
    ['0.0.0.0:65535', { host: '0.0.0.0', port: 65_535 }],
  ])('%s is read', (text, address) => {
    expect(readHttpAddress(text)).toEqual({ value: address });
  });

  it.each(['9464', ':9464', '127.0.0.1', '127.0.0.1:', '127.0.0.1:70000', 'http://127.0.0.1:9464', '::1:80', 'a b:1'])(
    '%s is refused with an example',
    (text) => {
      expect(() => readSettings({ CURFEW_HTTP_ADDRESS: text })).toThrow(
        expect.objectContaining({ exitCode: ExitCode.usage, next: expect.stringContaining('127.0.0.1:9464') }),
      );
    },
  );

  it.each(['', ' ', undefined])('%j is nowhere', (text) => {
    expect(readSettings({ CURFEW_HTTP_ADDRESS: text }).CURFEW_HTTP_ADDRESS).toBeNull();
  });

  it('stands in a URL as its kind asks for', () => {
    expect(urlOf({ host: '::1', port: 80 })).toBe('http://[::1]:80');
    expect(urlOf({ host: '127.0.0.1', port: 80 })).toBe('http://127.0.0.1:80');
  });
});

describe('the pages', () => {
  it('/readyz gives every reason, and is ready when there is none left', async () => {
    const health = createHealth();
    health.set('temporal', 'Temporal: no connection yet');
    health.set('ledger', () => Promise.resolve('ledger: does not answer'));
    const url = await serve(health);
    expect(await get(`${url}/readyz`)).toEqual([
      503,
      { status: 'unavailable', reasons: ['Temporal: no connection yet', 'ledger: does not answer'] },
    ]);
    health.set('temporal', () => Promise.resolve(null));
    health.set('ledger', () => Promise.resolve(null));
    expect(await get(`${url}/readyz`)).toEqual([200, { status: 'ready' }]);
  });

  it('a process that shuts down is not ready, and alive', async () => {
    const health = createHealth();
    const url = await serve(health);
    health.stopping();
    expect(await get(`${url}/readyz`)).toEqual([503, { status: 'stopping' }]);
    expect(await get(`${url}/healthz`)).toEqual([200, { status: 'ok' }]);
  });

  it('a process whose worker has failed is not alive', async () => {
    const health = createHealth();
    const url = await serve(health);
    health.aliveWhile(() => 'worker: failed');
    expect(await get(`${url}/healthz`)).toEqual([503, { status: 'failed', reasons: ['worker: failed'] }]);
  });

  it('/metrics is text that Prometheus takes, and no cache keeps it', async () => {
    const url = await serve(createHealth());
    const answer = await fetch(`${url}/metrics`);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await answer.text()).toBe('curfew_paused 0\n');
  });

  it('what fails inside is not told', async () => {
    const url = await serve(createHealth(), () => Promise.reject(new Error('postgres://user:secret@host')));
    expect(await get(`${url}/metrics`)).toEqual([500, { error: 'internal error' }]);
  });

  it('there is nothing else, and nothing can be changed', async () => {
    const url = await serve(createHealth());
    expect((await get(`${url}/`))[0]).toBe(404);
    expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(404);
  });
});

it('a port that is taken is named, with what to do', async () => {
  const port = Number(new URL(await serve(createHealth())).port);
  const second = startHttpServer({
    ...{ address: { host: '127.0.0.1', port }, health: createHealth() },
    metrics: () => Promise.resolve(''),
  });
  await expect(second).rejects.toMatchObject({
    exitCode: ExitCode.usage,
    message: expect.stringContaining(`127.0.0.1:${port}`),
    next: expect.stringContaining('port 0'),
  });
});

describe('a request that names a foreign host', () => {
  const paths = ['/metrics', '/healthz', '/readyz', '/elsewhere'];
  const statuses = (url: string, host: string): Promise<number[]> =>
    Promise.all(paths.map((path) => askAs(`${url}${path}`, host)));

  it('is refused on loopback, where a page of a browser could have sent it', async () => {
    const url = await serve(createHealth());
    const { port } = new URL(url);
    for (const host of ['evil.test', `evil.test:${port}`, '10.0.0.1', 'localhost.evil.test', '127.0.0.1.evil.test']) {
      expect(await statuses(url, host)).toEqual([403, 403, 403, 403]);
    }
    for (const host of [`127.0.0.1:${port}`, 'localhost', '[::1]', '127.1.2.3']) {
      expect(await statuses(url, host)).toEqual([200, 200, 200, 404]);
    }
  });

  it('is answered on other addresses: probes and scrapers name pods and services', async () => {
    const address = { host: '0.0.0.0', port: 0 };
    server = await startHttpServer({ address, health: createHealth(), metrics: () => Promise.resolve('x 1\n') });
    const url = server.url.replace('0.0.0.0', '127.0.0.1');
    for (const host of ['curfew.ops.svc:9464', '10.0.0.1:9464']) {
      expect(await statuses(url, host)).toEqual([200, 200, 200, 404]);
    }
  });
});
