import { setTimeout as sleep } from 'node:timers/promises';
import pc from 'picocolors';
import type { OrderResult } from '../../contract.js';
import { UserError } from '../../errors.js';
import type { OrderView } from '../../ledger/results.js';
import { followOrders } from '../follow.js';
import type { Output } from '../output.js';
import { standing } from '../words.js';
import { SCENES } from './scenes.js';
import type { Stage } from './stage.js';
import { compare, type Verdict } from './verdict.js';

/** A hang limit, ms. */
const PATIENCE_MS = 120_000;

/** Plays the story with real commands, real workers and a real kill. */
export async function play(stage: Stage, out: Output, signal: AbortSignal): Promise<Verdict[]> {
  const scene = (text: string): void => out.say(`\n${pc.bold(text)}`);
  const curfew = async (...args: string[]): Promise<number> => {
    signal.throwIfAborted();
    out.say(pc.cyan(`$ curfew ${args.map((arg) => (/[ "]/.test(arg) ? `"${arg}"` : arg)).join(' ')}`));
    return stage.run(args);
  };
  const { world } = stage.simulator;

  scene('Five sessions of one agent');
  for (const { id, story } of SCENES) out.say(`  ${id.padEnd(15)} ${world.session(id).state.padEnd(11)} ${story}`);
  const first = await stage.startWorker();
  out.say(`  A worker is up, pid ${first.pid}.`);

  scene('1. One that ends cleanly, one that was over, and one behind a storm of 500s');
  await curfew('cancel', 'sess_clean', 'sess_over', 'sess_storm', '--reason', 'demo', '--wait');

  scene('2. The worker is killed while its cancel request is under way');
  await curfew('cancel', 'sess_killed', '--reason', 'demo');
  await until(() => world.truth('sess_killed').cancels.length > 0, 'the request to arrive', signal);
  first.kill('SIGKILL');
  const killedAt = Date.now();
  out.say(pc.red(`  kill -9 ${first.pid}: the request is at the vendor, and its sender is dead.`));
  const second = await stage.startWorker();
  out.say(`  A new worker is up, pid ${second.pid}. It finds the order, and the request, in the ledger.`);
  await settled(stage, 'sess_killed', out, signal);
  out.say(`  The case was finished ${((Date.now() - killedAt) / 1000).toFixed(1)} s after the kill.`);

  scene('3. Paused: the order waits; meanwhile the owner starts a new turn, which nobody ordered to end');
  await curfew('pause', '--reason', 'demo');
  await curfew('cancel', 'sess_moved_on', '--reason', 'demo');
  world.endTurn('sess_moved_on', 'completed');
  world.startTurn('sess_moved_on', { message: 'Now something else, please.' });
  out.say('  The ordered turn has ended by itself, and a new one runs.');
  await curfew('resume');
  await settled(stage, 'sess_moved_on', out, signal);

  const results = await Promise.all(SCENES.map(({ id }) => resultOf(stage, id)));
  const truth = world.truth();
  return results.flatMap((result) => (result === undefined ? [] : [compare(result, truth)]));
}

async function resultOf(stage: Stage, sessionId: string): Promise<OrderResult | undefined> {
  const [view] = await stage.ledger.orders.views({ sessionId, limit: 1 });
  return view?.result;
}

/** Shows where the order stands until it has its outcome. */
async function settled(stage: Stage, sessionId: string, out: Output, signal: AbortSignal): Promise<void> {
  const [order] = await stage.ledger.orders.views({ sessionId, limit: 1 });
  if (order === undefined)
    throw new UserError(`The demo lost its order for ${sessionId}.`, 'Try again; this is a bug.');
  const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
  const [view] = await followOrders(stage.ledger, [order.orderId], out, isSettled, patience);
  signal.throwIfAborted();
  out.say(`  ${sessionId}: ${view === undefined ? 'lost' : standing(view, Date.now())}`);
}

const isSettled = (views: readonly OrderView[]): boolean => views.every(({ result }) => result.outcome !== null);

async function until(condition: () => boolean, what: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!condition()) {
    signal.throwIfAborted();
    if (Date.now() > deadline)
      throw new UserError(`The demo waited in vain for ${what}.`, 'Try again; `curfew doctor` checks the parts.');
    await sleep(100, undefined, { signal });
  }
}
