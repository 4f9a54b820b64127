import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundle } from '@temporalio/worker';

const path = (name: string): string => fileURLToPath(new URL(`../../workflows/${name}.ts`, import.meta.url));

export const bundleWorkflows = (): Promise<WorkflowBundle> =>
  bundleWorkflowCode({
    workflowsPath: path('index'),
    failureConverterPath: path('failure-converter'),
    logger: new DefaultLogger('WARN'),
  });
