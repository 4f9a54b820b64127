import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { describe, expect, it } from '@jest/globals';
import { asActivity } from '../../activities/as-activity.js';
import { bulkWorkflowId, caseWorkflowId, watchWorkflowId } from '../../src/core/contract.js';
import { DEFAULT_TIMING } from '../../src/core/policy/timing.js';

/** The refusals are expected. */
const logger = new DefaultLogger('ERROR');

/** Runs a step that is for one workflow's id in a workflow of another. */
const runAs = (workflowId: string, ownId: string): Promise<string> =>
  new MockActivityEnvironment({ workflowExecution: { workflowId, runId: 'run' } }, { logger }).run(() =>
    asActivity({ timing: DEFAULT_TIMING }, () => Promise.resolve('done'), ownId),
  );

describe('a step', () => {
  it.each([
    ['a case', caseWorkflowId],
    ['a watch', watchWorkflowId],
    ['a bulk job', bulkWorkflowId],
  ])('of %s is refused in the place of another: that one would never come to its work', async (_what, idOf) => {
    expect(await runAs(idOf('mine'), idOf('mine'))).toBe('done');
    const refused = runAs(idOf('other'), idOf('mine'));
    await expect(refused).rejects.toBeInstanceOf(ApplicationFailure);
    await expect(refused).rejects.toMatchObject({ type: 'InvalidInput', nonRetryable: true });
    await expect(refused).rejects.toThrow(`${idOf('mine')} was started as ${idOf('other')}`);
  });

  it('is done in a workflow whose id is none of ours: it is in nobody’s way', async () => {
    expect(await runAs('a-program-of-theirs', caseWorkflowId('mine'))).toBe('done');
    expect(await runAs('theirs/other', caseWorkflowId('mine'))).toBe('done');
  });
});
