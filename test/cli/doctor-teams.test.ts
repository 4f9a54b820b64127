import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/index.js';
import { loadConfig } from '../../src/platform/config.js';
import { runChecks, type CheckResult } from '../../src/cli/doctor.js';
import { openLedger } from '../../src/adapters/ledger/ledger.js';
import type { PolicyFile } from '../../src/core/policy/policy.js';
import { policy } from '../policy/observing.js';

let folder: string;
let simulator: Simulator;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-doctor-'));
  simulator = await startSimulator({ team: { apiKey: 'team-key', teamId: 'team_1' } });
  simulator.world.addAgent();
  simulator.world.addTeam({ id: 'team_1', name: 'Research' });
  simulator.world.addAgent({ teamId: 'team_1' });
});
afterEach(async () => {
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

async function teamsCheck(more: Record<string, string> = {}): Promise<CheckResult | undefined> {
  const env = {
    CURFEW_HOME: folder,
    CURFEW_DATABASE_URL: join(folder, 'ledger.db'),
    GUMLOOP_BASE_URL: simulator.url,
    GUMLOOP_API_KEY: simulator.apiKey,
    GUMLOOP_USER_ID: simulator.userId,
    TEMPORAL_ADDRESS: '127.0.0.1:1',
    ...more,
  };
  const checks = await runChecks(loadConfig(env, folder), { notify: false });
  return checks.find(({ name }) => name === 'teams');
}
async function putInForce(...teams: string[]): Promise<void> {
  const ledger = await openLedger(join(folder, 'ledger.db'));
  const policies = [policy({ max_runtime: 60_000 }, { match: { teams } })];
  const file: PolicyFile = { version: 1, policies, cleanup: [], notify: {}, exempt: [] };
  await ledger.policies.apply({ file, fileName: 'curfew.yaml', sourceText: '', by: 'a test' });
  await ledger.close();
}

it('says which teams the key shows, and what no key does', async () => {
  expect(await teamsCheck()).toMatchObject({
    status: 'ok',
    says: expect.stringMatching(/own agents and those of 1 team: Research, team_1 \(1 agent\).*incognito/),
    next: null,
  });
});

it('warns of a team that a policy in force names, and that the key does not show', async () => {
  await putInForce('team_9');
  expect(await teamsCheck()).toMatchObject({
    status: 'warning',
    says: expect.stringContaining('Team team_9 is named, but not shown to this key'),
    next: expect.stringContaining('member of the team'),
  });
});

it('warns when the teams, or the agents of one, can’t be listed', async () => {
  simulator.world.addFaults({ teamId: 'team_1' }, [{ fault: 'server-error', on: 'agents' }]);
  expect(await teamsCheck()).toMatchObject({
    status: 'warning',
    says: expect.stringMatching(/The agents of team Research, team_1 can't be listed: .*503/),
  });
  simulator.world.addFaults('everywhere', [{ fault: 'forbidden-session', on: 'teams' }]);
  expect(await teamsCheck()).toMatchObject({
    status: 'warning',
    says: expect.stringMatching(/The teams can't be listed, .*403/),
  });
});

it('says that an older server knows no teams, and that a team key sees its team alone', async () => {
  simulator.world.addFaults('everywhere', [{ fault: 'not-found', on: 'teams' }]);
  expect(await teamsCheck()).toMatchObject({ status: 'ok', says: expect.stringContaining('no list of teams') });
  await putInForce('team_1', 'team_9');
  const ofTeam = await teamsCheck({ GUMLOOP_API_KEY: 'team-key', GUMLOOP_TEAM_ID: 'team_1' });
  expect(ofTeam).toMatchObject({
    status: 'warning',
    says: expect.stringMatching(/one team only.*team_1 \(1 agent\)\. Team team_9 .* this key reaches team team_1 only/),
  });
});

it('is left out when the key is refused', async () => {
  expect(await teamsCheck({ GUMLOOP_API_KEY: 'wrong' })).toBeUndefined();
});
