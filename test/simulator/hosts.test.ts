import { afterEach, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { isOwnHost } from '../../src/platform/http/own-host.js';
import { askAs } from '../support/ask.js';

let simulator: Simulator;
afterEach(() => simulator?.close());

it('nothing is told to, or done for, a request that names a foreign host', async () => {
  simulator = await startSimulator();
  const { port } = new URL(simulator.url);
  const urls = [`${simulator.controlUrl}/truth`, `${simulator.url}/agents`, `${simulator.controlUrl}/elsewhere`];
  for (const host of ['evil.test', `evil.test:${port}`, '10.0.0.1', 'localhost.evil.test']) {
    expect(await Promise.all(urls.map((url) => askAs(url, host)))).toEqual([403, 403, 403]);
  }
  for (const host of [`127.0.0.1:${port}`, 'localhost', '[::1]']) {
    expect(await Promise.all(urls.map((url) => askAs(url, host)))).toEqual([200, 401, 404]);
  }
  expect(simulator.world.truthBook.requests.agents).toBe(3);
});

it.each([
  ['simulator', 'simulator', true],
  ['evil.test', 'simulator', false],
  ['[fe80::1]', 'fe80::1', true],
  ['10.0.0.5', '0.0.0.0', true],
  ['[fd00::5]', '::', true],
  ['evil.test', '0.0.0.0', false],
  ['10.0.0.5', '127.0.0.1', false],
  ['', '127.0.0.1', true],
])('a request for %j to a server on %s: own is %s', (named, listening, own) => {
  expect(isOwnHost(named, listening)).toBe(own);
});
