import type { ChildProcess } from 'node:child_process';
import pc from 'picocolors';
import { UserError } from '../../core/errors.js';
import type { OrderView } from '../../adapters/ledger/results.js';
import { followOrders } from '../follow.js';
import type { Output } from '../output.js';
import { BY_HAND } from './scenes.js';
import type { Director } from './director.js';
import { compare, type Verdict } from './verdict.js';

/** First act: a person orders five sessions to end, and much goes wrong. @returns with the worker that runs at its end */
export async function actByHand({ stage, out, scene, curfew, until, patience }: Director): Promise<Verdict[]> {
  const { world } = stage.simulator;
  scene('1. Five sessions of one agent, ended by hand');
  for (const { id, story } of BY_HAND) {
    out.show(
      { id, state: world.session(id).state, story },
      (shown) => `  ${shown.id.padEnd(14)} ${shown.state.padEnd(11)} ${shown.story}`,
    );
  }
  const first = await stage.startWorker();
  out.say(`  A worker is up, pid ${first.pid}.`);

  await curfew('cancel', 'sess_clean', 'sess_over', 'sess_storm', '--reason', 'demo');
  await curfew('cancel', 'sess_killed', '--reason', 'demo');
  await until(() => world.truth('sess_killed').cancels.length > 0, 'the request to arrive');
  await replaceKilled(first, stage, out);

  scene('Paused: an order waits; meanwhile the owner starts a new turn, which nobody ordered to end');
  await curfew('pause', '--reason', 'demo');
  await curfew('cancel', 'sess_moved_on', '--reason', 'demo');
  world.endTurn('sess_moved_on', 'completed');
  world.startTurn('sess_moved_on', { message: 'Now something else, please.' });
  out.say('  The ordered turn has ended by itself, and a new one runs.');
  await curfew('resume');

  const orders = await stage.ledger.orders.views({ limit: BY_HAND.length });
  if (orders.length < BY_HAND.length) throw new UserError('The demo lost an order.', 'Try again; this is a bug.');
  await followOrders(
    stage.ledger,
    orders.map(({ orderId }) => orderId),
    out,
    isSettled,
    patience(),
  );
  out.say('All five have their outcome.');
  const settled = await stage.ledger.orders.views({ limit: BY_HAND.length });
  return BY_HAND.map(({ id }) => {
    const mine = settled.map(({ result }) => result).filter(({ sessionId }) => sessionId === id);
    return compare({ sessionId: id, orders: mine, standing: null }, world);
  });
}

async function replaceKilled(worker: ChildProcess, stage: Director['stage'], out: Output): Promise<void> {
  worker.kill('SIGKILL');
  out.show(worker.pid, (pid) => pc.red(`  kill -9 ${pid}: the request is at the vendor, and its sender is dead.`));
  const second = await stage.startWorker();
  out.say(`  A new worker is up, pid ${second.pid}. It finds the orders, and the request, in the ledger.`);
}

const isSettled = (views: readonly OrderView[]): boolean => views.every(({ result }) => result.outcome !== null);
