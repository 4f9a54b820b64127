import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { registerExempt } from '../../src/cli/commands/exempt.js';
import { registerPolicy } from '../../src/cli/commands/policy.js';
import { registerStatus } from '../../src/cli/commands/status.js';
import { ExitCode } from '../../src/core/errors.js';
import { openCommandHome, type CommandHome } from '../support/in-process.js';

const FILE = `version: 1
policies: [{ name: a, match: { agents: ["*"] }, limits: { max_runtime: 5m } }]
exempt: [{ session: sess_file, until: 2099-01-01T00:00:00Z, reason: agreed }]
`;

let home: CommandHome;
beforeEach(async () => {
  home = await openCommandHome([registerExempt, registerPolicy, registerStatus]);
});
afterEach(() => home.close());

const exempt = (id: string, time: string) => home.run('exempt', id, '--for', time, '--reason', `why ${id}`);

describe('exemptions in force', () => {
  it('are listed without an id: those of people and of the policy file, with who, why and until when', async () => {
    const file = join(home.folder, 'curfew.yaml');
    writeFileSync(file, FILE);
    await home.run('policy', 'apply', file, '--yes');
    await exempt('sess_1', '2h');
    await exempt('sess_2', '1h');
    await exempt('sess_3', '1h');
    await home.run('unexempt', 'sess_3');
    const { stdout } = await home.run('exempt');
    const rows = stdout.trim().split('\n').slice(1, 4);
    expect(rows).toEqual([
      expect.stringMatching(/^sess_2 +\S+Z \(in 60 min\) +\S+@\S+ +\S+Z +why sess_2$/),
      expect.stringMatching(/^sess_1 +\S+Z \(in 2 h\) .* why sess_1$/),
      expect.stringMatching(/^sess_file +2099-01-01T00:00:00Z .* the policy file .* agreed$/),
    ]);
    expect(stdout).toContain('3 exemptions in force.');
    expect((await home.run('exempt', 'list')).stdout).toContain('sess_file');
    expect((await home.run('exempt', 'list', '--limit', '1')).stdout).toContain('3 exemptions in force; 2 not shown');
    expect(await home.json('exempt')).toMatchObject({
      total: 3,
      exemptions: [{ sessionId: 'sess_2', reason: 'why sess_2', by: expect.stringContaining('@') }, {}, {}],
    });
  });

  it('are in the status, with the first to end', async () => {
    expect((await home.run('status')).stdout).not.toMatch(/^exempt /m);
    expect(await home.json('status')).toMatchObject({ exemptions: { inForce: 0, firstEnds: null } });
    await exempt('sess_1', '2h');
    expect((await home.run('status')).stdout).toMatch(/^exempt +1 exemption: sess_1, until \S+Z \(in /m);
    await exempt('sess_2', '1h');
    expect((await home.run('status')).stdout).toMatch(/^exempt +2 exemptions: the first ends \S+Z \(in 60 min\)/m);
    expect(await home.json('status')).toMatchObject({ exemptions: { inForce: 2, firstEnds: { sessionId: 'sess_2' } } });
  });

  it('there may be none', async () => {
    expect((await home.run('exempt')).stdout).toContain('No session is exempt.');
  });
});

describe('an exemption', () => {
  it.each([
    [['sess_1', '--for', '2h'], '--reason'],
    [['sess_1', '--reason', 'x'], '--for'],
    [['sess_1'], '--for, --reason'],
    [['--for', '2h', '--reason', 'x'], 'the id of a session'],
  ])('%j is not complete', async (args, missing) => {
    const { stderr, exitCode } = await home.run('exempt', ...args);
    expect(exitCode).toBe(ExitCode.usage);
    expect(stderr).toContain(`missing: ${missing}. Nothing was changed.`);
    expect((await home.ledger.exemptions.list(1)).total).toBe(0);
  });
});
