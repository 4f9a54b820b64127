import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { BulkStatus, BulkTargetResult } from '../../src/core/contract.js';
import { ExitCode } from '../../src/core/errors.js';
import { PLAN_EXPIRES_MS } from '../../src/adapters/ledger/bulk-plans.js';
import { openLedger, type Ledger } from '../../src/adapters/ledger/ledger.js';
import { openDatabase } from '../../src/adapters/ledger/open.js';
import { planIn, sessionIds } from '../support/bulk-plans.js';
import { startCurfew, startReady, type Ended, type Ready } from '../support/curfew-process.js';
import { temporalBinary, until } from '../support/embedded-server.js';
import { openHome, type OwnHome } from '../support/own-home.js';
import { OBTAIN_LIMIT_MS } from '../support/temporal.js';

/** A hang limit. */
const LIMIT_MS = 4 * 60_000;

let own: OwnHome;
let ready: Ready;
let ledger: Ledger;

beforeAll(temporalBinary, OBTAIN_LIMIT_MS);

beforeAll(async () => {
  own = await openHome();
  for (const prefix of ['done', 'slow', 'left']) {
    for (const id of sessionIds(40, prefix)) own.simulator.world.addSession({ agent: 'agent_test', id, runsFor: null });
  }
  ({ ready } = await startReady(['up'], own.settings));
  ledger = await openLedger(ready.ledger);
}, LIMIT_MS);

afterAll(async () => {
  await ledger.close();
  await own.close();
}, 60_000);

const bulk = (...args: string[]): Promise<Ended> => own.run('bulk', ...args);
const json = <T>({ stdout }: Ended): T => JSON.parse(stdout) as T;
const lines = <T>({ stdout }: Ended): T[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const asked = (prefix: string): number =>
  new Set(
    own.simulator.world.truth().cancels.flatMap(({ sessionId }) => (sessionId.startsWith(prefix) ? [sessionId] : [])),
  ).size;

describe('curfew bulk apply', () => {
  it(
    'refuses what can’t be applied, each with its own words and exit code, and sends nothing',
    async () => {
      await planIn(ledger, 'b-known', sessionIds(2, 'done'));
      const begun = { by: 'me', source: 'person', cleanup: null, reason: null } as const;
      await ledger.bulk.begin({ ...begun, planId: 'b-building', selection: {} });
      await planIn(ledger, 'b-empty', []);
      await planIn(ledger, 'b-old', ['done_1']);
      await planIn(ledger, 'b-changed', ['done_1', 'done_2']);
      const { db, close } = await openDatabase(ready.ledger);
      await db
        .updateTable('bulk_jobs')
        .set({ expires_at: Date.now() - PLAN_EXPIRES_MS })
        .where('id', '=', 'b-old')
        .execute();
      await db.updateTable('bulk_targets').set({ turn_key: 'x' }).where('plan_id', '=', 'b-changed').execute();
      await close();

      const cases: readonly (readonly [string[], number, string])[] = [
        [['b-nothing', '--yes'], ExitCode.usage, 'b-known'],
        [['b-building', '--yes'], ExitCode.refused, 'still being collected'],
        [['b-old', '--yes'], ExitCode.refused, 'curfew bulk plan --agent support-bot'],
        [['b-changed', '--yes'], ExitCode.refused, 'are not those that were planned'],
        [['b-known'], ExitCode.refused, 'curfew bulk apply b-known --yes'],
        [['b-known', '--rate', '5/s', '--wait'], ExitCode.refused, 'curfew bulk apply b-known --rate 5/s --wait --yes'],
        [['b-known', '--rate', 'fast', '--yes'], ExitCode.usage, '600/min'],
        [['b-known', '--canary', '-1', '--yes'], ExitCode.usage, 'whole number'],
      ];
      for (const [args, code, said] of cases) {
        const ended = await bulk('apply', ...args);
        expect({ args, code: ended.code, said: ended.stderr.includes(said) }).toEqual({ args, code, said: true });
        expect(ended.stderr).not.toMatch(/\n\s+at .*:\d+/);
      }
      const empty = await bulk('apply', 'b-empty');
      expect(empty.code).toBe(ExitCode.done);
      expect(empty.stdout).toContain('nothing to end');
      for (const command of ['pause', 'resume', 'abort']) {
        const early = await bulk(command, 'b-known', ...(command === 'abort' ? ['--yes'] : []));
        expect({ command, code: early.code }).toEqual({ command, code: ExitCode.refused });
        expect(early.stderr).toContain('curfew bulk apply b-known');
      }
      expect((await bulk('report', 'b-known')).code).toBe(ExitCode.refused);
      expect(asked('done')).toBe(0);
    },
    LIMIT_MS,
  );

  it(
    'with --wait looks on until every target has ended; again it is the same job',
    async () => {
      await planIn(ledger, 'b-done', sessionIds(30, 'done'));
      // The targets were frozen without their real turns: those of their ids.
      const ended = await bulk('apply', 'b-done', '--yes', '--wait', '--rate', '50/s', '--canary', '3', '--json');
      const status = json<BulkStatus>(ended);
      expect(status).toMatchObject({ planId: 'b-done', state: 'finished', canary: 3, rate: 50 });
      const again = await bulk('apply', 'b-done', '--yes', '--rate', '1/s');
      expect(again.code).toBe(ExitCode.done);
      expect(again.stdout).toContain('the same job');
      expect(json<BulkStatus>(await bulk('status', 'b-done', '--json'))).toMatchObject({ rate: 50, hash: status.hash });
    },
    LIMIT_MS,
  );
});

describe('steering a running job', () => {
  it(
    'pauses, changes the rate, resumes, and leaves the rest of an aborted one untouched; Ctrl-C ends the looking alone',
    async () => {
      const ids = sessionIds(150, 'left');
      const file = join(own.folder, 'ids.txt');
      writeFileSync(file, ids.join('\n'));
      const { planId } = json<BulkStatus>(await bulk('plan', '--ids-file', file, '--json'));
      const looking = startCurfew(
        ['bulk', 'apply', planId, '--yes', '--wait', '--rate', '1/s', '--canary', '0'],
        own.settings,
      );
      await looking.says(`${planId}  running`);
      await until(() => asked('left') > 0);

      const paused = await bulk('pause', planId, '--reason', 'looking', '--json');
      expect(json<BulkStatus>(paused)).toMatchObject({ changed: true, state: 'paused' });
      const sent = json<BulkStatus>(paused).progress.requests;
      looking.signal('SIGINT');
      const left = await looking.ended;
      expect(left.code).toBe(130);
      expect(left.stdout).toContain(`${planId} continues`);

      expect(json<BulkStatus>(await bulk('pause', planId, '--json'))).toMatchObject({ changed: false });
      expect(json<BulkStatus>(await bulk('rate', planId, '2/s', '--json'))).toMatchObject({ rate: 2, state: 'paused' });
      expect(json<BulkStatus>(await bulk('status', planId, '--json')).progress.requests).toBe(sent);

      expect(json<BulkStatus>(await bulk('resume', planId, '--json'))).toMatchObject({
        changed: true,
        state: 'running',
      });
      await until(() => asked('left') > sent);
      expect((await bulk('abort', planId)).code).toBe(ExitCode.refused);
      expect(json<BulkStatus>(await bulk('abort', planId, '--yes', '--json'))).toMatchObject({ state: 'aborted' });
      expect((await bulk('resume', planId)).code).toBe(ExitCode.refused);

      const watched = await bulk('status', planId, '--watch', '--json');
      expect(watched.code).toBe(ExitCode.someNotEnded);
      const last = lines<BulkStatus>(watched).at(-1);
      expect(last).toMatchObject({ state: 'aborted', progress: { underWay: 0, openCases: 0 } });

      const report = lines<BulkTargetResult>(await bulk('report', planId, '--json'));
      expect(report.map(({ sessionId }) => sessionId)).toEqual(ids);
      const untouched = report.filter(({ status }) => status === 'untouched');
      expect(untouched.length).toBe(last?.progress.waiting);
      expect(untouched.length + asked('left')).toBe(150);
      expect(report.filter(({ outcome }) => outcome === 'cancelled')).toHaveLength(asked('left'));
      const csv = await bulk('report', planId, '--format', 'csv', '--outcome', 'untouched');
      expect(csv.stdout.trim().split('\r\n')).toHaveLength(untouched.length + 1);

      const history = lines<BulkTargetResult>(await own.run('history', '--session', 'left_0', '--json'));
      expect(history).toMatchObject([{ sessionId: 'left_0', reason: { text: `bulk job ${planId}` } }]);
      expect((await own.run('cases', 'left_0')).stdout).toContain(`bulk job ${planId}`);
    },
    LIMIT_MS,
  );

  it(
    'a job that goes badly stops itself, and --wait says so with exit code 3',
    async () => {
      await planIn(ledger, 'b-bad', sessionIds(20, 'nowhere'));
      const ended = await bulk('apply', 'b-bad', '--yes', '--wait', '--canary', '5');
      expect({ code: ended.code, said: ended.stdout }).toEqual({
        code: ExitCode.refused,
        said: expect.stringContaining('b-bad stopped itself'),
      });
      expect(ended.stdout).toContain('curfew bulk report b-bad');
    },
    LIMIT_MS,
  );
});
