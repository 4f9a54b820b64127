/**
 * One process among several that use a ledger, for tests: `actor.ts <role> <url> [number] [uid gid]`. It says `ready`, acts
 * when it reads a line, and says what came of it, one JSON value a line.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockSession, readSwitchForShare } from '../../src/adapters/ledger/locks.js';
import { openDatabase, type OpenedDatabase } from '../../src/adapters/ledger/open.js';
import { addOne, newOrder } from './rows.js';

const [role = '', url = '', number = '0', uid, gid] = process.argv.slice(2);

const say = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};

const roles: Record<string, (ledger: OpenedDatabase) => Promise<void>> = {
  /** Opens, and nothing else. */
  open: async ({ db }) => {
    say(await db.selectFrom('pause_switch').select('paused').execute());
  },

  /** Opens as a worker does, which brings older tables up to date. */
  migrate: async ({ db }) => {
    say(await db.selectFrom('bulk_jobs').select('id').execute());
  },

  /** Adds one to a counter so many times: reads, then writes what it read plus one. */
  increment: async ({ db }) => {
    for (let done = 0; done < Number(number); done += 1) await addOne(db);
    say('incremented');
  },

  /** Keeps a transaction that has written open for so many ms. */
  hold: async ({ db }) => {
    await db.transaction().execute(async (trx) => {
      await lockSession(trx, 'counter');
      await trx.insertInto('events').values({ at: 1, kind: 'held' }).execute();
      say('holding');
      await sleep(Number(number));
    });
    say('released');
  },

  /** Writes half of what belongs together, and never goes on. */
  hang: async ({ db }) => {
    await db.transaction().execute(async (trx) => {
      await lockSession(trx, 'counter');
      await trx.insertInto('orders').values(newOrder('half-written')).execute();
      say('inside');
      await sleep(600_000);
    });
  },

  /** Registers requests until it sees that it is paused; each as an event that says who. */
  register: async ({ db }) => {
    for (let registered = 0; ; registered += 1) {
      const paused = await db.transaction().execute(async (trx) => {
        const pauseSwitch = await readSwitchForShare(trx);
        if (pauseSwitch.paused) return true;
        await trx.insertInto('events').values({ at: 1, kind: 'request' }).execute();
        return false;
      });
      if (registered === 0) say('registering');
      if (paused) return say({ registered });
    }
  },
};

const act = roles[role];
if (act === undefined) throw new Error(`unknown role: ${role}`);
// Only now: whom it acts as may not be allowed to read its sources.
if (uid !== undefined) {
  process.setgroups?.([]);
  process.setgid?.(Number(gid));
  process.setuid?.(Number(uid));
}
say('ready');
await once(process.stdin, 'data');
const ledger = await openDatabase(url, { migrate: role === 'migrate' });
await act(ledger);
await ledger.close();
process.stdin.destroy();
