import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Command } from 'commander';
import { registerBulk } from '../../src/cli/commands/bulk.js';
import { registerExempt } from '../../src/cli/commands/exempt.js';
import { registerHistory } from '../../src/cli/commands/history.js';
import { registerPause } from '../../src/cli/commands/pause.js';
import { loadAllCommands } from '../../src/cli/lazy-commands.js';
import { createProgram } from '../../src/cli/program.js';
import { requesterOf } from '../../src/cli/requester.js';
import { ExitCode, UserError } from '../../src/core/errors.js';
import { userName } from '../../src/platform/user.js';
import { planIn } from '../support/bulk-plans.js';
import { openCommandHome, type CommandHome } from '../support/in-process.js';

const SYSTEM = `${userName()}@${hostname()}`;

describe('who orders', () => {
  it('is the system\u2019s user, and a name before it where one is given', () => {
    expect(requesterOf({})).toBe(SYSTEM);
    expect(requesterOf({ actor: '' })).toBe(SYSTEM);
    expect(requesterOf({ actor: ' \u200B ' })).toBe(SYSTEM);
    expect(requesterOf({ actor: 'bo' })).toBe(`bo (${SYSTEM})`);
    expect(requesterOf({ as: 'ana', actor: 'bo' })).toBe(`ana (${SYSTEM})`);
  });

  it('is one printable line of bounded length', () => {
    expect(requesterOf({ as: 'a\u202Ena\n\x1b[31m' })).toBe(`ana [31m (${SYSTEM})`);
    expect(requesterOf({ as: '👩'.repeat(64) })).toBe(`${'👩'.repeat(64)} (${SYSTEM})`);
    expect(requesterOf({ actor: 'x'.repeat(65) })).toBe(`${'x'.repeat(63)}… (${SYSTEM})`);
  });

  it.each([[''], [' \u200B'], ['x'.repeat(65)]])('is not %j', (as) => {
    expect(() => requesterOf({ as })).toThrow(UserError);
  });
});

const namesOf = (command: Command, before: string): string[] =>
  command.commands.flatMap((child) => {
    const name = `${before}${child.name()}`;
    const own = child.options.some(({ long }) => long === '--as') ? [name] : [];
    return [...own, ...namesOf(child, `${name} `)];
  });

it('every command that the ledger records takes --as', async () => {
  expect(namesOf(await loadAllCommands(createProgram()), '').toSorted()).toEqual([
    ...['bulk abort', 'bulk apply', 'bulk pause', 'bulk plan', 'bulk rate', 'bulk resume', 'cancel', 'cases abandon'],
    ...['cleanup run', 'exempt', 'pause', 'policy apply', 'policy resume', 'policy rollback', 'resume', 'unexempt'],
    ...['up', 'watch'],
  ]);
});

describe('in the ledger', () => {
  let home: CommandHome;
  beforeEach(async () => {
    home = await openCommandHome([registerPause, registerExempt, registerBulk, registerHistory], {
      CURFEW_ACTOR: 'pager duty',
    });
  });
  afterEach(() => home.close());

  it('the name stands with what was done, from --as or CURFEW_ACTOR', async () => {
    await planIn(home.ledger, 'b-1', ['sess_1']);
    await home.run('pause', '--as', 'ana');
    expect((await home.ledger.pauseSwitch.read()).changedBy).toBe(`ana (${SYSTEM})`);
    await home.run('resume');
    expect((await home.ledger.pauseSwitch.read()).changedBy).toBe(`pager duty (${SYSTEM})`);
    await home.run('exempt', 'sess_1', '--for', '2h', '--reason', 'x', '--as', 'ana');
    expect((await home.ledger.exemptions.list(1)).exemptions[0]?.by).toBe(`ana (${SYSTEM})`);
    await home.run('unexempt', 'sess_1', '--as', 'ana');
    expect((await home.run('history', '--event', 'unexempt')).stdout).toContain(`ana (${SYSTEM})`);
  });

  it('a name that is none keeps a command from doing anything', async () => {
    const { exitCode, stderr } = await home.run('pause', '--as', '');
    expect([exitCode, stderr]).toEqual([ExitCode.usage, expect.stringContaining('--as is empty. Nothing was done.')]);
    expect((await home.ledger.pauseSwitch.read()).paused).toBe(false);
  });
});
