import {
  Client,
  Connection,
  defaultGrpcRetryOptions,
  isGrpcServiceError,
  makeGrpcRetryInterceptor,
} from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { clientConverter, type Encryption } from '../codec/encryption.js';
import { ExitCode, UserError } from '../../core/errors.js';
import { retrying, type RetryOptions } from '../../platform/retrying.js';
import { explainConnectionFailure } from './connection-failure.js';
import type { TemporalTarget } from './connection-target.js';
import { isNotAllowed } from './grpc-status.js';
import { LOOPBACK_CHANNEL_ARGS } from './loopback.js';

export { resolveTemporal, type TemporalTarget } from './connection-target.js';

/** A Temporal client with its connection. */
export interface TemporalClient {
  readonly client: Client;
  readonly connection: Connection;
  readonly namespace: string;
  /** What the client's payloads go through; a worker's have to go through the same. */
  readonly encryption: Encryption;
  close(): Promise<void>;
}

/** Long enough for the embedded server to come back after a crash, ms. */
const CLIENT_RETRY_MS = 5_000;
/** One attempt, ms. */
const ATTEMPT_MS = 10_000;

/**
 * Connects a client, and makes sure that the namespace is there for us.
 *
 * @param options.retryForMs - default 5 s
 * @throws {UserError} (not reachable) with its own words for each cause; (usage) when the keys for payloads can't be used
 */
export async function connectClient(target: TemporalTarget, options: RetryOptions = {}): Promise<TemporalClient> {
  const { address, namespace, encryption } = located(target);
  await encryption.check();
  return await retrying(
    { retryForMs: CLIENT_RETRY_MS, ...options },
    async () => {
      const connection = await openConnection(target);
      const client = new Client({ connection, namespace, dataConverter: clientConverter(encryption) });
      return { client, connection, namespace, encryption, close: () => connection.close() };
    },
    (cause) => explainConnectionFailure(cause, address, namespace),
  );
}

/**
 * Connects a worker. The SDK's own connect fails in milliseconds when the server is not up yet, so this tries again.
 * Install the SDK's Runtime (telemetry, logger) before.
 *
 * @param options.retryForMs - default 60 s
 * @throws {UserError} (not reachable) with its own words for each cause
 */
export async function connectWorker(target: TemporalTarget, options: RetryOptions = {}): Promise<NativeConnection> {
  const { address, namespace } = located(target);
  return await retrying(
    { retryForMs: 60_000, ...options },
    async () => {
      // Asked through the client's connection first: it tells the causes of a failure apart, the native one hardly.
      const connection = await openConnection(target);
      await connection.close();
      // Loaded here, because only workers need the native core, and commands should answer quickly.
      const worker = await import('@temporalio/worker');
      return await worker.NativeConnection.connect(connectionOptions(target));
    },
    (cause) => explainConnectionFailure(cause, address, namespace),
  );
}

/**
 * Which Temporal this is, for the ledger to recognise it by. An embedded server keeps both when it starts again on its
 * file, and has new ones with a new file.
 *
 * @returns `clusterId` is the namespace's id where the server does not tell its own (Temporal Cloud)
 */
export async function clusterIdentity(client: Client): Promise<{ clusterId: string; namespaceId: string }> {
  const { workflowService } = client.connection;
  const { namespaceInfo } = await workflowService.describeNamespace({ namespace: client.options.namespace });
  const namespaceId = namespaceInfo?.id ?? '';
  const clusterId = await workflowService.getClusterInfo({}).then(
    (cluster) => cluster.clusterId,
    (error: unknown) => {
      if (isGrpcServiceError(error) && isNotAllowed(error.code)) return null;
      throw error;
    },
  );
  return { clusterId: clusterId || namespaceId, namespaceId };
}

async function openConnection(target: TemporalTarget): Promise<Connection> {
  const { namespace } = located(target);
  // The SDK's retries belong to a connection that works; until then its ten attempts would hide each cause for 20 s.
  let established = false;
  const retries = defaultGrpcRetryOptions();
  const connection = Connection.lazy({
    ...connectionOptions(target),
    ...(target.kind === 'embedded' && { channelArgs: LOOPBACK_CHANNEL_ARGS }),
    interceptors: [
      makeGrpcRetryInterceptor({
        ...retries,
        retryableDecider: (attempt, status) => established && retries.retryableDecider(attempt, status),
      }),
    ],
  });
  try {
    await connection.withDeadline(Date.now() + ATTEMPT_MS, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
    established = true;
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

function connectionOptions(target: TemporalTarget) {
  return target.kind === 'configured' ? target.options : { address: located(target).address };
}

/** @throws {UserError} when there is no Temporal to talk to */
function located(target: TemporalTarget): Exclude<TemporalTarget, { kind: 'none' }> {
  if (target.kind !== 'none') return target;
  throw new UserError(
    'No Curfew runs here: no embedded Temporal server is up in this home, and none is configured.',
    'Run `curfew up` in another terminal, or set TEMPORAL_ADDRESS to a Temporal server.',
    ExitCode.unreachable,
  );
}
