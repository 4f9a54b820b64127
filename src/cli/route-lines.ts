import type { Ledger } from '../adapters/ledger/ledger.js';
import { reachRoutes, type RouteReach } from '../engines/notify/reach.js';
import type { Output } from './output.js';

/** Says of each notification route in force whether it could be used from here. Whatever is wrong, nothing fails for it. */
export async function tellRoutes(ledger: Pick<Ledger, 'policies' | 'deliveries'>, out: Output): Promise<void> {
  const routes = await reachRoutes(ledger).catch(() => []);
  for (const one of routes) out.show(one, routeWords);
}

const routeWords = ({ route, problem }: RouteReach): string =>
  problem === null
    ? `Route ${route}: its secret can be read, and its address answers. To send a test: curfew doctor --notify`
    : `Route ${route}: ${problem}. Notices wait for it, for a day at most. Check it where the worker runs: curfew doctor --notify`;
