import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals';
import { Command } from 'commander';
import { openLedger } from '../../src/adapters/ledger/ledger.js';
import { registerPolicy } from '../../src/cli/commands/policy.js';
import { newSecret } from '../notify/rules.js';
import { startReceiver, type Receiver } from '../support/receiver.js';

let folder: string;
let receiver: Receiver;
const saved = { ...process.env };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-route-lines-'));
  receiver = await startReceiver();
  writeFileSync(join(folder, 'hook'), newSecret());
  const url = join(folder, 'ledger.db');
  await (await openLedger(url)).close();
  Object.assign(process.env, { CURFEW_HOME: folder, CURFEW_DATABASE_URL: url });
});
afterEach(() => {
  process.exitCode = undefined;
});
afterAll(async () => {
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
  Object.assign(process.env, saved);
  await receiver.close();
  rmSync(folder, { recursive: true, force: true });
});

/** @returns what `curfew policy apply` says to people of routes */
async function apply(routes: Readonly<Record<string, string>>): Promise<string[]> {
  const file = join(folder, 'curfew.yaml');
  const lines = Object.entries(routes).map(
    ([name, url]) => `  ${name}: { webhook: { url: "${url}", secret_file: ${join(folder, 'hook')} } }\n`,
  );
  const notify = lines.length === 0 ? '' : `, notify: [${Object.keys(routes).join(', ')}]`;
  writeFileSync(
    file,
    `version: 1\npolicies:\n  - { name: a, match: { agents: ["*"] }, limits: { max_runtime: 1h }${notify} }\n${lines.length === 0 ? '' : `notify:\n${lines.join('')}`}`,
  );
  return policy('apply', file, '--yes');
}

/** @returns what the command says to people of routes */
async function policy(...args: string[]): Promise<string[]> {
  const program = new Command('curfew').option('--json').exitOverride();
  registerPolicy(program);
  let stderr = '';
  const spies = [
    jest.spyOn(process.stdout, 'write').mockReturnValue(true),
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => Boolean((stderr += String(text)))),
  ];
  try {
    await program.parseAsync(['policy', ...args], { from: 'user' });
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return stderr.split('\n').filter((line) => line.startsWith('Route '));
}

it('policy apply says of each route whether it could be used, and fails for none', async () => {
  expect(await apply({ ops: `${receiver.url}/hook`, away: 'http://127.0.0.1:1/hook' })).toEqual([
    'Route ops: its secret can be read, and its address answers. To send a test: curfew doctor --notify',
    'Route away: nobody answers at its address (ECONNREFUSED). Notices wait for it, for a day at most. Check it where the worker runs: curfew doctor --notify',
  ]);
  expect(process.exitCode ?? 0).toBe(0);
  expect(receiver.received).toEqual([]);
});

it('policy apply says nothing of routes where there are none', async () => {
  expect(await apply({})).toEqual([]);
});

it('policy rollback says the same of the routes that it brings back', async () => {
  await apply({ ops: `${receiver.url}/hook` });
  await apply({});
  expect(await policy('rollback', '--yes')).toEqual([
    'Route ops: its secret can be read, and its address answers. To send a test: curfew doctor --notify',
  ]);
  expect(await policy('rollback', '--yes')).toEqual([]);
});
