import pc from 'picocolors';
import { populate, scenario } from '../../../simulator/index.js';
import { bulkReport } from '../../engines/bulk/report.js';
import { UserError } from '../../core/errors.js';
import type { BulkJob } from '../../adapters/ledger/bulk-plans.js';
import type { Director } from './director.js';
import { BULK_AGENT, BULK_IDS, BULK_SCENARIO, BULK_STORY, MOVED_ON } from './scenes.js';
import { compare, NOTHING_TOLD, type Verdict } from './verdict.js';

const RATE = '30/s';
/** Long enough to see that nothing goes on, ms. */
const PAUSED_FOR_MS = 2_000;

/** Third act: an incident. Two hundred sessions are ended at once, with a pause in between, and the worker is killed. */
export async function actByBulk({ stage, out, scene, curfew, until, pause }: Director): Promise<Verdict[]> {
  const { world } = stage.simulator;
  const { ledger } = stage;
  scene(`3. An incident: ${BULK_IDS.length} sessions of one agent, ended by one plan`);
  populate(world, scenario(BULK_SCENARIO));
  for (const [count, story] of BULK_STORY)
    out.show({ count, story }, (shown) => `  ${String(shown.count).padStart(3)}  ${shown.story}`);
  const requests = (): number => BULK_IDS.reduce((sum, id) => sum + world.truth(id).cancels.length, 0);

  await curfew('bulk', 'plan', '--agent', BULK_AGENT, '--reason', 'wrong batch started');
  const planned = await newestPlan(ledger);
  const { planId } = planned;
  // The vendor tells its time in whole seconds: now the new turn is certainly younger than the plan.
  await pause(1_100);
  world.endTurn(MOVED_ON, 'completed');
  world.startTurn(MOVED_ON, { message: 'Now something else, please.', runsFor: null });
  out.say(`  Meanwhile the owner of ${MOVED_ON} has started a new turn, which is not in the plan.`);
  await curfew('bulk', 'apply', planId, '--yes', '--rate', RATE, '--canary', '5');

  await until(() => requests() >= 50, 'the first requests');
  await curfew('bulk', 'pause', planId, '--reason', 'is this the right agent?');
  await pause(500);
  const before = requests();
  await pause(PAUSED_FOR_MS);
  out.say(`  ${before} requests until then, and ${requests() - before} in the ${PAUSED_FOR_MS / 1_000} s since.`);
  await curfew('bulk', 'resume', planId);

  await until(() => requests() >= 110, 'more requests');
  const { pid } = stage.worker();
  stage.worker().kill('SIGKILL');
  out.show(pid, (killed) => pc.red(`  kill -9 ${killed}: the worker is dead, in the middle of the job.`));
  const second = await stage.startWorker();
  out.say(`  A new worker is up, pid ${second.pid}. It looks first at what was under way.`);
  await until(async () => (await newestPlan(ledger)).state === 'finished', 'the end of the job');
  await until(async () => (await ledger.bulk.caseOutcomes(planId)).open === 0, 'the end of its cases');
  await curfew('bulk', 'report', planId);

  const told = { ...NOTHING_TOLD, kills: 1 };
  const verdicts: Verdict[] = [];
  for await (const page of bulkReport(ledger, await newestPlan(ledger))) {
    for (const result of page) {
      verdicts.push(compare({ sessionId: result.sessionId, orders: [result], standing: null }, world, told));
    }
  }
  return verdicts;
}

async function newestPlan(ledger: Director['stage']['ledger']): Promise<BulkJob> {
  const [job] = await ledger.bulk.list({ limit: 1 });
  if (job === undefined) throw new UserError('The demo lost its bulk plan.', 'Try again; this is a bug.');
  return job;
}
