import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Database from 'libsql';
import { ExitCode, type UserError } from '../../src/core/errors.js';
import { backupSqliteLedger } from '../../src/adapters/ledger/backup.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { locateLedger } from '../../src/adapters/ledger/open.js';
import { allOrders, orderInLedgerOnly } from '../support/standing.js';

let folder: string;
let path: string;
let copy: string;
let ledger: Ledger;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "curfew's-backup-"));
  path = join(folder, 'ledger.db');
  copy = join(folder, 'copy.db');
  ledger = await openLedger(path);
});
afterEach(async () => {
  await ledger.close();
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true, force: true });
});

function failureOf(act: () => unknown): UserError {
  try {
    act();
  } catch (error) {
    return error as UserError;
  }
  throw new Error('It did not fail.');
}

describe('a copy of a SQLite ledger', () => {
  it('is a ledger with what was written last, for its owner only, and one file', async () => {
    for (let index = 0; index < 50; index += 1) await orderInLedgerOnly(ledger, `sess_${index}`);
    expect(backupSqliteLedger(path, copy)).toBe(statSync(copy).size);
    await orderInLedgerOnly(ledger, 'sess_later');
    expect(statSync(copy).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).filter((name) => name.startsWith('copy'))).toEqual(['copy.db']);

    const restored = await openLedger(copy);
    try {
      expect(await allOrders(restored)).toEqual(
        (await allOrders(ledger)).filter(({ result }) => result.sessionId !== 'sess_later'),
      );
      await orderInLedgerOnly(restored, 'sess_new');
    } finally {
      await restored.close();
    }
  });

  it('is whole though others write meanwhile, and holds none of them up', async () => {
    let writing = true;
    let written = 0;
    const writer = (async () => {
      for (; writing; written += 1) {
        await orderInLedgerOnly(ledger, `sess_${written}`);
        // A ledger in a file answers at once: timers get their turn here.
        await yieldToOthers();
      }
    })();
    for (let time = 0; time < 5; time += 1) {
      const before = written;
      while (written < before + 3) await yieldToOthers();
      backupSqliteLedger(path, join(folder, `copy-${time}.db`));
    }
    writing = false;
    await writer;
    const counts: number[] = [];
    for (let time = 0; time < 5; time += 1) {
      const restored = await openLedger(join(folder, `copy-${time}.db`));
      counts.push((await allOrders(restored)).length);
      await restored.close();
    }
    expect(counts).toEqual([...new Set(counts)].sort((a, b) => a - b));
    expect(counts[0]).toBeGreaterThan(0);
  });

  it('never takes the place of a file that is there', () => {
    writeFileSync(copy, 'precious');
    const { message, exitCode } = failureOf(() => backupSqliteLedger(path, copy));
    expect(message).toContain('exists already');
    expect(exitCode).toBe(ExitCode.usage);
    expect(statSync(copy).size).toBe('precious'.length);
  });

  it('leaves nothing behind when it fails', () => {
    const foreign = join(folder, 'foreign.db');
    const db = new Database(foreign);
    db.exec('create table something (else_ text)');
    db.close();
    const { message, exitCode } = failureOf(() => backupSqliteLedger(foreign, copy));
    expect(message).toContain('is not a ledger');
    expect(exitCode).toBe(ExitCode.unreachable);

    writeFileSync(join(folder, 'text.db'), 'no database at all, but long enough to be looked at'.repeat(20));
    expect(failureOf(() => backupSqliteLedger(join(folder, 'text.db'), copy)).message).toContain('could not be copied');
    expect(failureOf(() => backupSqliteLedger(path, join(folder, 'missing', 'copy.db'))).exitCode).toBe(ExitCode.usage);
    expect(existsSync(copy) || existsSync(`${copy}.partial`)).toBe(false);
  });
});

describe('where a ledger is', () => {
  it.each([
    ['/var/lib/curfew.db', { kind: 'sqlite', path: '/var/lib/curfew.db', describe: '/var/lib/curfew.db' }],
    ['sqlite:///var/lib/a%20b.db', { kind: 'sqlite', path: '/var/lib/a b.db', describe: '/var/lib/a b.db' }],
    [
      'postgres://me:word@db.example.com/curfew',
      {
        ...{ kind: 'postgres', host: 'db.example.com', port: 5432, user: 'me', database: 'curfew' },
        ...{ describe: 'db.example.com:5432/curfew', tlsMode: 'disable', tlsFiles: { rootCert: null, client: null } },
      },
    ],
  ])('is told without its password, and without touching it: %s', (url, place) => {
    expect(locateLedger(url)).toEqual(place);
    expect(JSON.stringify(locateLedger(url))).not.toContain('word');
  });

  it.each(['', 'mysql://u:word@h/d', 'sqlite://relative.db'])('is refused for what is no use: %s', (url) => {
    const { message, exitCode } = failureOf(() => locateLedger(url));
    expect(message).toContain("CURFEW_DATABASE_URL can't be used");
    expect(message).not.toContain('word');
    expect(exitCode).toBe(ExitCode.usage);
  });
});
