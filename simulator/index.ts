import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { ExitCode, UserError } from '../src/core/errors.js';
import type { Credentials } from './credentials.js';
import type { ErrorShape } from './errors.js';
import { populate, type Scenario } from './scenario.js';
import { createServer } from './server.js';
import { World } from './world.js';

export { defaultScenario } from './default-scenario.js';
export type { FaultInput, FaultName } from './fault-schema.js';
export { limitsReached, stintsOf, type Reached, type Stint } from './measure.js';
export { loadScenario, populate, scenario, type ScenarioInput } from './scenario.js';
export type { SessionRecord, SessionState } from './session.js';
export type { CancelRecord, SessionTruth, Truth, TurnTruth } from './truth.js';
export { World } from './world.js';
export type { AgentInput, SessionInput, TurnInput } from './world-schema.js';

export interface SimulatorOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /**
   * Default 127.0.0.1. The control API asks for no credential: think before you bind to more. Requests that name another host
   * than this one, or this machine, are refused.
   */
  readonly host?: string;
  /** Personal key and the user id that goes with it; defaults `simulator-key` and `simulator-user`. */
  readonly apiKey?: string;
  readonly userId?: string;
  /** OAuth token, accepted without a user id. Default: none. */
  readonly accessToken?: string;
  /** Team key, accepted with the user id and `team_id`. Default: none. */
  readonly team?: { readonly apiKey: string; readonly teamId: string };
  /** What is there at the start. Default: nothing; `defaultScenario` is a small account. */
  readonly scenario?: Scenario;
  /** Concurrent runs; default 25. These four win over the scenario's. */
  readonly slots?: number;
  readonly whenSlotsAreFull?: 'queue' | 'reject';
  readonly errorShape?: ErrorShape;
  readonly seed?: number;
  /** Clock, ms since the Unix epoch; default the machine's. */
  readonly now?: () => number;
}

export interface Simulator {
  /** Base of the vendor's API, for `GUMLOOP_BASE_URL`; ends in `/api/v1`. */
  readonly url: string;
  /** Base of the control API. */
  readonly controlUrl: string;
  readonly apiKey: string;
  readonly userId: string;
  /** The same operations as the control API, in process. */
  readonly world: World;
  /** From now on these personal keys are taken, and no others: one that is left out is revoked. */
  acceptKeys(...keys: string[]): void;
  /** Stops at once, with hanging requests and connections. */
  close(): Promise<void>;
}

/** Turns of sessions that clients create take a minute, unless the scenario says otherwise. */
const USUAL_TURN_MS = 60_000;

/**
 * Starts a simulator. It prints nothing and needs no files.
 * @throws {UserError} when the port is taken
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { scenario, apiKey = 'simulator-key', userId = 'simulator-user', accessToken, team } = options;
  const turnsRunFor = scenario?.turnsRunFor;
  const world = new World({
    userId,
    slots: options.slots ?? scenario?.slots ?? 25,
    whenSlotsAreFull: options.whenSlotsAreFull ?? scenario?.whenSlotsAreFull ?? 'queue',
    turnsRunFor: turnsRunFor === undefined ? USUAL_TURN_MS : turnsRunFor,
    cancelFailsTrigger: scenario?.cancelFailsTrigger,
    errorShape: options.errorShape ?? scenario?.errorShape ?? 'nested',
    seed: options.seed ?? scenario?.seed,
    now: options.now ?? Date.now,
  });
  if (scenario !== undefined) populate(world, scenario);

  const closing = new AbortController();
  const accepted: Credentials = { apiKeys: [apiKey], userId, accessToken, team };
  const host = options.host ?? '127.0.0.1';
  const server = createServer(world, accepted, closing.signal, host);
  await listen(server, options.port ?? 0, host);
  const { port } = server.server.address() as AddressInfo;
  const origin = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    url: `${origin}/api/v1`,
    controlUrl: `${origin}/simulator`,
    apiKey,
    userId,
    world,
    acceptKeys: (...keys) => {
      accepted.apiKeys = keys;
    },
    close: async () => {
      closing.abort();
      await server.close();
    },
  };
}

async function listen(server: FastifyInstance, port: number, host: string): Promise<void> {
  try {
    await server.listen({ port, host });
  } catch (error) {
    await server.close();
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new UserError(
      `The simulator cannot start: port ${port} on ${host} is in use, perhaps by another simulator.`,
      'Choose another port; 0 takes any free one.',
      ExitCode.failed,
    );
  }
}
