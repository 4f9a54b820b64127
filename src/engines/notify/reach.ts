import type { NotifyRoute } from '../../core/policy/policy.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { knock } from './post.js';
import { createRoutesReader } from './routes.js';
import { readSigningSecret, readSlackUrl } from './secrets.js';

/** Whether a route could be used from here, as far as that can be told without a message. */
export interface RouteReach {
  readonly route: string;
  /** Null: its secret can be read, and somebody answers at its address. Holds neither. */
  readonly problem: string | null;
}

/** Looks once at each route in force. Sends no message, and fails for no route. */
export async function reachRoutes(ledger: Pick<Ledger, 'policies' | 'deliveries'>): Promise<RouteReach[]> {
  const routes = await createRoutesReader(ledger).read();
  return Promise.all(routes.map(async ({ name, route }) => ({ route: name, problem: await problemOf(route) })));
}

async function problemOf(route: NotifyRoute): Promise<string | null> {
  const secret = await ('slack' in route
    ? readSlackUrl(route.slack.urlFile)
    : readSigningSecret(route.webhook.secretFile));
  if ('problem' in secret) return secret.problem;
  const why = await knock('slack' in route ? secret.value : route.webhook.url);
  return why === null ? null : `nobody answers at its address (${why})`;
}
