import type { Audience } from '../../core/told.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { createPoliciesReader } from '../../adapters/ledger/policies-reader.js';
import type { NotifyRoute, PolicyFile } from '../../core/policy/policy.js';

/** A notification route of the policy file in force. */
export interface RouteInForce {
  readonly name: string;
  readonly route: NotifyRoute;
  readonly audience: Audience;
}

/** Reads the routes in force, and the file itself only when its version has changed. */
export interface RoutesReader {
  /**
   * @returns none, too, while the policies in force are of a newer Curfew
   * @throws {LedgerUnavailableError}
   */
  read(): Promise<readonly RouteInForce[]>;
}

export function createRoutesReader(ledger: Pick<Ledger, 'policies' | 'deliveries'>): RoutesReader {
  const readPolicies = createPoliciesReader(ledger);
  let known: { readonly version: number; readonly routes: readonly RouteInForce[] } | null = null;
  return {
    async read() {
      const policies = await readPolicies();
      if (policies.kind !== 'known') return [];
      const { version, file, appliedAtMs } = policies.inForce;
      if (known?.version !== version) {
        const routes = await Promise.all(
          Object.entries(file.notify).map(async ([name, route]) => ({
            name,
            route,
            audience: audienceOf(file, name, await ledger.deliveries.since(name, appliedAtMs)),
          })),
        );
        known = { version, routes };
      }
      return known.routes;
    },
  };
}

/** Whom a route tells about what. */
export function audienceOf(file: PolicyFile, route: string, sinceMs: number): Audience {
  return {
    route,
    policies: file.policies.filter(({ notify }) => notify.includes(route)).map(({ name }) => name),
    known: file.policies.map(({ name }) => name),
    sinceMs,
  };
}
