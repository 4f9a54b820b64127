import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { registerBulk } from '../../src/cli/commands/bulk.js';
import { ExitCode } from '../../src/core/errors.js';
import { planIn, sessionIds } from '../support/bulk-plans.js';
import { openCommandHome, type CommandHome } from '../support/in-process.js';

let home: CommandHome;
beforeEach(async () => {
  home = await openCommandHome([registerBulk]);
});
afterEach(() => home.close());

const EVIL = 'looks *wrong* | <b>x</b>\n# no heading';

/** Applied, paused, resumed and aborted by people; of six targets one of each kind. */
async function story(): Promise<void> {
  const { ledger } = home;
  await planIn(ledger, 'b-1', sessionIds(6));
  const applied = { by: 'bo@host', rate: 20, canary: 0, fast: false, evenIfExempt: false };
  await ledger.bulk.apply('b-1', applied);
  await ledger.bulk.steer('b-1', { action: 'pause', reason: EVIL, by: 'ana (root@host)' });
  await ledger.bulk.steer('b-1', { action: 'resume', by: 'ana (root@host)' });
  await ledger.bulk.steer('b-1', { action: 'abort', by: 'bo@host' });
  const { db, close } = await openDatabase(home.ledgerUrl);
  for (const [seq, status] of ['cancelled', 'cancelled', 'forbidden', 'exempted', 'superseded'].entries()) {
    await db.updateTable('bulk_targets').set({ status, attempts: 1 }).where('seq', '=', seq).execute();
  }
  await db
    .updateTable('bulk_targets')
    .set({
      error_json: JSON.stringify({ at: '2026-01-05T12:00:00.000Z', type: 'forbidden', message: 'HTTP 403 | no' }),
    })
    .where('seq', '=', 2)
    .execute();
  await close();
}

describe('curfew bulk incident-report', () => {
  it('is a page of Markdown: who, what, when, why, totals, what was left alone and what did not end', async () => {
    await story();
    const { stdout, exitCode } = await home.run('bulk', 'incident-report', 'b-1');
    expect(exitCode).toBe(0);
    for (const line of [
      /^# Bulk job `b-1`: 6 sessions$/m,
      /^- \*\*Why:\*\* incident 42$/m,
      /^- \*\*Applied by:\*\* bo@host$/m,
      /^- \*\*Asked for:\*\* `curfew bulk plan --agent support-bot`$/m,
      /^\| \S+Z \| planned \| ops@example.com \| – \|$/m,
      /^\| \S+Z \| applied \| bo@host \| .*\|$/m,
      /^\| \S+Z \| paused \| ana \(root@host\) \| looks \\\*wrong\\\* \\\| \\<b\\>x\\<\/b\\> \\# no heading.*\|$/m,
      /^\| \S+Z \| resumed \| ana \(root@host\) \| /m,
      /^\| \S+Z \| aborted \| bo@host \| /m,
      /^3 of 6 have ended, 3 have not\. /m,
      /^\| forbidden \| 1 \|$/m,
      /^\| `agent_1` \| support-bot \| 6 \| 3 \|$/m,
      /^- superseded: 1 session\. A newer turn had begun; it was not touched\.$/m,
      /^- exempted: 1 session\. It was exempt\.$/m,
      /^\| `sess_2` \| `agent_1` \| forbidden \| 1 \| 2026-01-05T12:00:00Z HTTP 403 \\\| no \|$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
    // Every row of a table has as many cells as its head.
    const tables = stdout.split('\n\n').filter((block) => block.startsWith('|'));
    for (const block of tables) {
      const cells = block.split('\n').map((row) => row.replaceAll('\\|', '').split('|').length);
      expect(new Set(cells).size).toBe(1);
    }
  });

  it('is a document with --json', async () => {
    await story();
    expect(await home.json('bulk', 'incident-report', 'b-1')).toMatchObject({
      job: { planId: 'b-1', state: 'aborted', reason: 'incident 42' },
      byOutcome: { cancelled: 2, forbidden: 1, exempted: 1, superseded: 1, untouched: 1 },
      timeline: [
        { what: 'planned' },
        { what: 'applied' },
        { what: 'paused', by: 'ana (root@host)', details: expect.stringContaining('looks *wrong*') },
        { what: 'resumed' },
        { what: 'aborted' },
      ],
      notEnded: { count: 3, first: [{ sessionId: 'sess_2' }, { sessionId: 'sess_3' }, { sessionId: 'sess_5' }] },
    });
  });

  it('is refused for a plan that was not applied', async () => {
    await planIn(home.ledger, 'b-2', ['sess_1']);
    const { exitCode, stderr } = await home.run('bulk', 'incident-report', 'b-2');
    expect([exitCode, stderr]).toEqual([ExitCode.refused, expect.stringContaining('b-2 was not applied')]);
  });
});
