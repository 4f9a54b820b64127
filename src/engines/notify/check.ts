import type { NotifyRoute } from '../../core/policy/policy.js';
import { ExitCode } from '../../core/errors.js';
import { NEWS_FOR_MS } from '../../core/told.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { createRoutesReader, type RouteInForce } from './routes.js';
import { readSigningSecret, readSlackUrl } from './secrets.js';
import { sendTest, type Sent } from './send.js';
import { MOST_WAITING } from './undelivered.js';
import { capital } from '../../core/text/capital.js';

/** What was found about one route, for `curfew doctor`. */
export interface RouteFinding {
  readonly route: string;
  readonly status: 'ok' | 'warning' | 'failed';
  readonly says: string;
  readonly next?: string;
  readonly exitCode?: ExitCode;
}

/**
 * Checks the notification routes in force: whether their secrets can be read here, and whether news waits in vain.
 *
 * @param send - also sends each a test message
 */
export async function checkRoutes(ledger: Ledger, send: boolean): Promise<RouteFinding[]> {
  const routes = await createRoutesReader(ledger).read();
  return Promise.all(routes.map((route) => checkRoute(ledger, route, send)));
}

async function checkRoute(
  ledger: Ledger,
  { name, route, audience }: RouteInForce,
  send: boolean,
): Promise<RouteFinding> {
  const secret = await ('slack' in route
    ? readSlackUrl(route.slack.urlFile)
    : readSigningSecret(route.webhook.secretFile));
  if ('problem' in secret) {
    return {
      route: name,
      status: 'failed',
      says: `${capital(secret.problem)}.`,
      next: `${FORMS[kindOf(route)]} The worker's user must be able to read it.`,
      exitCode: ExitCode.usage,
    };
  }
  if (send) {
    const sent = await sendTest(name, route);
    if (sent.kind !== 'accepted') return { route: name, status: 'failed', ...failureOf(route, sent) };
  }
  const { count: waiting, oldestAtMs } = await ledger.deliveries.waiting(audience, NEWS_FOR_MS, MOST_WAITING);
  const ageMs = oldestAtMs === null ? 0 : (await ledger.now()) - oldestAtMs;
  if (ageMs > WAITS_IN_VAIN_MS) {
    const count = waiting === MOST_WAITING ? `${MOST_WAITING} or more` : `${waiting}`;
    const trouble = await ledger.deliveries.trouble(name);
    return {
      route: name,
      status: 'warning',
      says: `${count} notices wait, the oldest for ${Math.floor(ageMs / 60_000)} min.`,
      next: `${trouble === null ? 'The log of the worker says why.' : `The last one: ${trouble.message}.`} ${send ? 'The test just now was taken.' : TO_TEST}`,
    };
  }
  return {
    route: name,
    status: 'ok',
    says: send ? `The ${kindOf(route)} took a test message.` : `Its secret can be read. ${TO_TEST}`,
  };
}

/** A minute is a busy moment; more is a receiver that is away. */
const WAITS_IN_VAIN_MS = 60_000;
const TO_TEST = '`curfew doctor --notify` sends a test.';

type Kind = 'Slack webhook' | 'webhook';
const kindOf = (route: NotifyRoute): Kind => ('slack' in route ? 'Slack webhook' : 'webhook');

const FORMS: Readonly<Record<Kind, string>> = {
  'Slack webhook': "Put the webhook's address into the file, https://hooks.slack.com/services/…, and nothing else.",
  webhook: 'Put a secret into the file, for example the output of: echo "whsec_$(openssl rand -base64 32)".',
};

function failureOf(
  route: NotifyRoute,
  sent: Exclude<Sent, { readonly kind: 'accepted' }>,
): Pick<RouteFinding, 'says' | 'next' | 'exitCode'> {
  switch (sent.kind) {
    case 'unanswered':
      return {
        says: `No answer to the test message (${sent.why}).`,
        next: 'Check the address, the network, and a firewall in between.',
        exitCode: ExitCode.unreachable,
      };
    case 'unusable':
      return { says: `${capital(sent.why)}.`, next: FORMS[kindOf(route)], exitCode: ExitCode.usage };
    case 'refused':
      return { says: `The receiver answered ${sent.status} to the test message.`, next: adviceOn(route, sent.status) };
  }
}

function adviceOn(route: NotifyRoute, status: number): string {
  if (status === 429) return 'Too many messages at the moment; try again in a minute.';
  if (status >= 500) return 'It has a problem of its own; try again in a minute.';
  if (status >= 300 && status < 400)
    return 'It redirects, and Curfew does not follow that: use the address it leads to.';
  if ('slack' in route) {
    if (status === 403 || status === 404 || status === 410)
      return 'The webhook was revoked, or its channel is archived: make a new one in Slack, and put its address into the file.';
    return 'Check that the address is that of an incoming webhook, complete, with nothing after it.';
  }
  if (status === 401 || status === 403) return 'Check that the receiver verifies with the same secret.';
  return 'Check the address, and what the receiver expects.';
}
