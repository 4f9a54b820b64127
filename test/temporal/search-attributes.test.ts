import type { ConnectionLike } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ExitCode } from '../../src/errors.js';
import { connectClient, resolveTemporal, type TemporalClient } from '../../src/temporal/connection.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/temporal/embedded.js';
import { GrpcStatus } from '../../src/temporal/grpc-status.js';
import { ensureSearchAttributes } from '../../src/temporal/search-attributes.js';
import { makeHome, removeHome, temporalBinary } from '../support/embedded-server.js';

let home: string;
let server: EmbeddedServer;
let temporal: TemporalClient;

beforeAll(async () => {
  home = makeHome();
  const binary = await temporalBinary();
  server = await startEmbeddedServer({ home, binary, env: process.env, searchAttributes: {}, ui: false });
  temporal = await connectClient(resolveTemporal({ env: { HOME: home }, home }));
});
afterAll(async () => {
  await temporal.close();
  await server.stop();
  removeHome(home);
});

const ensure = (
  attributes: Parameters<typeof ensureSearchAttributes>[2],
  connection: ConnectionLike = temporal.connection,
) => ensureSearchAttributes(connection, 'default', attributes);

const grpcError = (code: number) => Object.assign(new Error('no'), { code, details: 'no', metadata: {} });

/** A connection whose operator service answers each call with this status, as Temporal Cloud does. */
function withoutOperatorService(code: number): ConnectionLike {
  const refuse = () => Promise.reject(grpcError(code));
  const operatorService = { listSearchAttributes: refuse, addSearchAttributes: refuse };
  return { workflowService: temporal.connection.workflowService, operatorService } as unknown as ConnectionLike;
}

describe('search attributes', () => {
  it('are added when missing, and usable at once by a start', async () => {
    expect(await ensure({ CurfewSession: 'Keyword', CurfewAttempts: 'Int' })).toBe('registered');
    await temporal.client.workflow.start('waitForWorker', {
      workflowId: 'with-attributes',
      taskQueue: 'nobody-listens',
      searchAttributes: { CurfewSession: ['s-1'], CurfewAttempts: [3] },
    });
    const query = `CurfewSession = 's-1' AND CurfewAttempts = 3`;
    while ((await temporal.client.workflow.count(query)).count !== 1);
    expect(await ensure({ CurfewSession: 'Keyword', CurfewAttempts: 'Int' })).toBe('present');
  });

  it('are waited for where the server takes a moment to know them', async () => {
    const { operatorService, workflowService } = temporal.connection;
    const answers = [GrpcStatus.invalidArgument, GrpcStatus.invalidArgument, null];
    const countWorkflowExecutions = jest.fn(() => {
      const code = answers.shift();
      return code == null ? Promise.resolve({}) : Promise.reject(grpcError(code));
    });
    const slow = { operatorService, workflowService: { ...workflowService, countWorkflowExecutions } };
    expect(await ensure({ CurfewSlow: 'Keyword' }, slow as unknown as ConnectionLike)).toBe('registered');
    expect(countWorkflowExecutions).toHaveBeenCalledTimes(3);
  });

  it('may be added by several workers at the same time', async () => {
    const results = await Promise.all([ensure({ CurfewRace: 'Keyword' }), ensure({ CurfewRace: 'Keyword' })]);
    expect(results).toContain('registered');
  });

  it('are not taken with another type than ours', async () => {
    await ensure({ CurfewTyped: 'Int' });
    await expect(ensure({ CurfewTyped: 'Keyword' })).rejects.toMatchObject({
      exitCode: ExitCode.unreachable,
      message: expect.stringContaining('CurfewTyped as Int, Curfew needs Keyword') as unknown,
    });
  });

  it.each([GrpcStatus.permissionDenied, GrpcStatus.unimplemented, GrpcStatus.unauthenticated])(
    'are found without the operator service when they are there (status %i)',
    async (status) => {
      await ensure({ CurfewCloud: 'Keyword' });
      expect(await ensure({ CurfewCloud: 'Keyword' }, withoutOperatorService(status))).toBe('present');
      expect(await ensure({ CurfewAbsent: 'Keyword' }, withoutOperatorService(status))).toBe('not-allowed');
    },
  );

  it('are no reason to go on when the server went away', async () => {
    await expect(ensure({ CurfewX: 'Keyword' }, withoutOperatorService(GrpcStatus.unavailable))).rejects.toThrow('no');
  });
});
