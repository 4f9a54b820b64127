import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { registerPolicy } from '../../src/cli/commands/policy.js';
import { ExitCode } from '../../src/core/errors.js';
import { openCommandHome, type CommandHome } from '../support/in-process.js';

/** With what a program that reads and writes it would lose: comments, blanks at line ends, a tab, CRLF, no last line end. */
const FIRST = `# ours \u2014 ask Ana\t\r
version: 1
policies:
  - name: support-limits   
    match: { agents: ["support-*"] }
    limits: { max_runtime: 45m }
    mode: observe`;
const SECOND = FIRST.replace('mode: observe', 'mode: enforce\n    warn_at: 80%\n');

let home: CommandHome;
beforeEach(async () => {
  home = await openCommandHome([registerPolicy]);
});
afterEach(() => home.close());

async function apply(name: string, text: string): Promise<void> {
  const path = join(home.folder, name);
  writeFileSync(path, text);
  const { exitCode, stderr } = await home.run('policy', 'apply', path, '--yes');
  expect([exitCode, stderr.includes('next:')]).toEqual([0, false]);
}
async function both(): Promise<void> {
  await apply('first.yaml', FIRST);
  await apply('second.yaml', SECOND);
}
/** As if a newer Curfew had put the last version in force. */
async function asOfNewer(version: number): Promise<void> {
  const { db, close } = await openDatabase(home.ledgerUrl);
  await db.updateTable('policy_versions').set({ schema: 99, file_json: '[]' }).where('version', '=', version).execute();
  await close();
}

describe('before any policy was in force', () => {
  it.each([['list'], ['show'], ['diff'], ['rollback']])('`policy %s` says so', async (name) => {
    const { stdout, stderr, exitCode } = await home.run('policy', name);
    expect(`${stdout}${stderr}`).toContain('curfew policy apply FILE');
    expect(exitCode).toBe(name === 'list' ? 0 : ExitCode.usage);
  });
});

describe('curfew policy list', () => {
  it('names each version, newest first, with its file, who applied it, its policies and their modes', async () => {
    await both();
    const { stdout } = await home.run('policy', 'list');
    const [, newest = '', oldest = ''] = stdout.split('\n');
    expect(newest).toMatch(/^2 +\d{4}-\d\d-\d\dT\S+Z +\S+@\S+ +\S+second.yaml +support-limits \(enforce\)$/);
    expect(oldest).toMatch(/^1 .*first.yaml +support-limits \(observe\)$/);
    expect(stdout).toContain('Version 2 is in force.');
    expect(await home.json('policy', 'list')).toMatchObject({
      inForce: 2,
      versions: [
        {
          version: 2,
          appliedBy: expect.stringContaining('@'),
          policies: [{ name: 'support-limits', mode: 'enforce' }],
        },
        { version: 1, file: expect.stringContaining('first.yaml'), cleanups: 0 },
      ],
    });
  });

  it('says how many older ones it leaves out', async () => {
    await both();
    const { stdout } = await home.run('policy', 'list', '--limit', '1');
    expect(stdout).toContain('Older ones: 1; --limit shows more.');
    expect(stdout).not.toContain('first.yaml');
  });

  it('lists what a newer Curfew wrote', async () => {
    await both();
    await asOfNewer(2);
    expect((await home.run('policy', 'list')).stdout).toContain('written by a newer Curfew');
  });
});

describe('curfew policy show', () => {
  it('gives back the file byte for byte, the one in force unless a number is given', async () => {
    await both();
    expect((await home.run('policy', 'show', '1')).stdout).toBe(FIRST);
    expect((await home.run('policy', 'show')).stdout).toBe(SECOND);
    expect((await home.run('policy', 'show', 'v1')).stderr).toContain('Version 1, replaced by version 2:');
  });

  it('has the source and what it means in JSON', async () => {
    await both();
    expect(await home.json('policy', 'show', '2')).toMatchObject({
      version: 2,
      inForce: true,
      source: SECOND,
      policies: [
        { name: 'support-limits', mode: 'enforce', meaning: expect.arrayContaining(['warns at 80% of a limit']) },
      ],
      parsed: { policies: [{ limits: { max_runtime: 45 * 60_000 } }] },
    });
  });

  it('shows the text of a version that a newer Curfew wrote', async () => {
    await both();
    await asOfNewer(2);
    expect((await home.run('policy', 'show')).stdout).toBe(SECOND);
    expect(await home.json('policy', 'show')).toMatchObject({ source: SECOND, policies: null, parsed: null });
  });

  it('says which versions there are when there is none of the number', async () => {
    await both();
    const { stderr, exitCode } = await home.run('policy', 'show', '3');
    expect(exitCode).toBe(ExitCode.usage);
    expect(stderr).toContain('There are versions 1 to 2: curfew policy list');
  });
});

describe('curfew policy diff', () => {
  it('shows the lines that differ and what that means, by default of the last change', async () => {
    await both();
    const { stdout } = await home.run('policy', 'diff');
    expect(stdout).toContain('\n-    mode: observe\n');
    expect(stdout).toContain('\n+    mode: enforce\n+    warn_at: 80%\n');
    expect(stdout).toMatch(/^--- version 1 \(.*first.yaml\)\s*\n\+\+\+ version 2 \(.*second.yaml\)/);
    expect(stdout).toContain('~ policy support-limits (changed)  BEGINS TO END TURNS');
    expect((await home.run('policy', 'diff', '1', '2')).stdout).toBe(stdout);
    expect((await home.run('policy', 'diff', '1')).stdout).toBe(stdout);
  });

  it('tells the other way round what going back would mean', async () => {
    await both();
    const { lines, meaning } = await home.json<{ lines: string[]; meaning: { policies: unknown[] } }>(
      ...['policy', 'diff', '2', '1'],
    );
    expect(lines).toContain('+    mode: observe');
    expect(meaning.policies).toMatchObject([{ mode: { from: 'enforce', to: 'observe' } }]);
  });

  it('says when the words alone are the same', async () => {
    await apply('first.yaml', FIRST);
    const { stdout } = await home.run('policy', 'diff', '1', '1');
    expect(stdout).toContain('are the same');
    expect(stdout).toContain('No policy, cleanup, route or exemption changes.');
  });

  it('lets no sign of a file steer the terminal', async () => {
    await apply('first.yaml', FIRST);
    await apply('second.yaml', SECOND.replace('# ours', '# o\u202Eurs'));
    expect((await home.run('policy', 'diff')).stdout).not.toMatch(/[\u202E\r\t]/);
  });

  it('has the lines, though not the meaning, of what a newer Curfew wrote', async () => {
    await both();
    await asOfNewer(2);
    const { stdout } = await home.run('policy', 'diff');
    expect(stdout).toContain('+    mode: enforce');
    expect(stdout).toContain('A newer Curfew');
  });

  it('knows none before the first', async () => {
    await apply('first.yaml', FIRST);
    const { stderr, exitCode } = await home.run('policy', 'diff');
    expect([exitCode, stderr]).toEqual([ExitCode.usage, expect.stringContaining('Version 1 is the first one')]);
  });
});

describe('curfew policy rollback', () => {
  it('puts the file before the one in force in force again, as a new version with the same bytes', async () => {
    await both();
    const { stdout, exitCode } = await home.run('policy', 'rollback', '--yes');
    expect(exitCode).toBe(0);
    expect(stdout).toContain('~ policy support-limits (changed)');
    expect(stdout).toContain('Version 3 is in force: 1 observes');
    expect(await home.ledger.policies.get(3)).toMatchObject({
      sourceText: FIRST,
      fileName: expect.stringContaining('first.yaml'),
      file: { policies: [{ mode: 'observe' }] },
    });
    // What was undone can be done again.
    expect(await home.json('policy', 'rollback', '--yes')).toMatchObject({ version: 4, changed: true });
    expect((await home.run('policy', 'show')).stdout).toBe(SECOND);
  });

  it('asks: where nobody is, nothing changes', async () => {
    await both();
    const { stderr, exitCode } = await home.run('policy', 'rollback', '1');
    expect(exitCode).toBe(ExitCode.refused);
    expect(stderr).toMatch(/Version 1 \(.*first.yaml\) takes the place of version 2/);
    expect(stderr).toContain('curfew policy rollback 1 --yes');
    expect(await home.ledger.policies.version()).toBe(2);
  });

  it('warns of a policy that begins to end turns and never was in mode observe, as apply does', async () => {
    await apply('enforced.yaml', SECOND);
    await apply('other.yaml', SECOND.replace('support-limits', 'other'));
    const { stderr } = await home.run('policy', 'rollback');
    expect(stderr).toContain('support-limits begins to end turns and was never in mode observe');
    expect(stderr).toContain('curfew policy show 1 > v1.yaml && curfew policy plan v1.yaml');
  });

  it('changes nothing when the file is in force already', async () => {
    await both();
    expect(await home.json('policy', 'rollback', '2', '--yes')).toMatchObject({ version: 2, changed: false });
  });

  it('refuses a file that is not valid any more, and one that a newer Curfew wrote', async () => {
    await both();
    const { db, close } = await openDatabase(home.ledgerUrl);
    await db.updateTable('policy_versions').set({ source_text: 'version: 7' }).where('version', '=', 1).execute();
    await close();
    const invalid = await home.run('policy', 'rollback', '1', '--yes');
    expect(invalid.exitCode).toBe(ExitCode.usage);
    expect(invalid.stderr).toContain('The file of version 1 is not valid for this Curfew. Nothing was changed.');
    await asOfNewer(1);
    const newer = await home.run('policy', 'rollback', '1', '--yes');
    expect(newer.exitCode).toBe(ExitCode.refused);
    await asOfNewer(2);
    expect((await home.run('policy', 'rollback', '1', '--yes')).exitCode).toBe(ExitCode.refused);
    expect(await home.ledger.policies.version()).toBe(2);
  });
});
