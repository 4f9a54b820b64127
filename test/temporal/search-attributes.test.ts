import type { ConnectionLike } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { SEARCH_ATTRIBUTES } from '../../src/core/contract.js';
import { ExitCode } from '../../src/core/errors.js';
import { connectClient, resolveTemporal, type TemporalClient } from '../../src/adapters/temporal/connection.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/adapters/temporal/embedded.js';
import { GrpcStatus } from '../../src/adapters/temporal/grpc-status.js';
import { readAttributesStanding } from '../../src/adapters/temporal/search-attributes-standing.js';
import { ensureSearchAttributes, INDEXED_VALUE_TYPE } from '../../src/adapters/temporal/search-attributes.js';
import { makeHome, removeHome, temporalBinary } from '../support/embedded-server.js';
import { ensureNamespace } from '../support/temporal-environment.js';

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

  describe('in a namespace that others have filled', () => {
    const fill = async (namespace: string, keywords: number): Promise<void> => {
      await ensureNamespace(temporal.connection, namespace);
      const names = Array.from({ length: keywords }, (_, index) => `Theirs${index}`);
      const searchAttributes = Object.fromEntries(names.map((name) => [name, INDEXED_VALUE_TYPE.Keyword]));
      await temporal.connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
    };
    const standing = (namespace: string, left: string | null = null) =>
      readAttributesStanding(temporal.connection, namespace, left);

    it('have no room beside seven of type Keyword: none is added, and it is said what to do', async () => {
      await fill('crowded', 7);
      expect(await ensureSearchAttributes(temporal.connection, 'crowded', SEARCH_ATTRIBUTES)).toBe('no-room');
      const { customAttributes } = await temporal.connection.operatorService.listSearchAttributes({
        namespace: 'crowded',
      });
      expect(Object.keys(customAttributes ?? {}).filter((name) => name in SEARCH_ATTRIBUTES)).toEqual([]);
      for (const left of [null, 'absent', 'present']) {
        const { status, says, next } = await standing('crowded', left);
        expect(status).toBe('warning');
        expect(says).toMatch(/"crowded" has no room for Curfew's 4 search attributes.* 10 of type Keyword/);
        expect(next).toMatch(/namespace of its own \(TEMPORAL_NAMESPACE\), or remove/);
      }
    });

    it('fit beside six', async () => {
      await fill('nearly-crowded', 6);
      expect(await standing('nearly-crowded')).toMatchObject({
        status: 'ok',
        says: expect.stringContaining('first worker adds') as unknown,
      });
      expect(await ensureSearchAttributes(temporal.connection, 'nearly-crowded', SEARCH_ATTRIBUTES)).toBe('registered');
      expect(await standing('nearly-crowded', 'present')).toMatchObject({ status: 'ok' });
      expect(await standing('nearly-crowded', 'absent')).toMatchObject({
        status: 'warning',
        next: 'Restart the workers.',
      });
    });

    it('are told from those that may not be added, and those that somebody has removed', async () => {
      await ensureNamespace(temporal.connection, 'bare');
      const { says, next } = await standing('bare', 'absent');
      expect(says).toContain('may not add them');
      expect(next).toContain('--namespace bare --name CurfewSessionId --type Keyword');
      expect((await standing('bare', 'present')).says).toContain('gone from namespace "bare"');
    });
  });

  it('are no reason to go on when the server went away', async () => {
    await expect(ensure({ CurfewX: 'Keyword' }, withoutOperatorService(GrpcStatus.unavailable))).rejects.toThrow('no');
  });
});
