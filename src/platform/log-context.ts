import { AsyncLocalStorage } from 'node:async_hooks';
import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';

/** What a piece of work is about: with each line that is logged while it goes on. */
export interface LogFields {
  readonly sessionId?: string;
  /** The case, by its workflow id. */
  readonly caseId?: string;
  /** The bulk job. */
  readonly planId?: string;
  readonly workflowId?: string;
}

const current = new AsyncLocalStorage<LogFields>();

/** Does a piece of work; what it logs carries these fields, unless the line has its own value for one. */
export const logAbout = <T>(fields: LogFields, work: () => T): T => current.run(fields, work);

/** Logs a line that carries no fields but its own: it was kept back, and another piece of work is going on by now. */
export const logAlone = (log: () => void): void => current.run({}, () => context.with(ROOT_CONTEXT, log));

/** Fields of the line that is being logged; the trace, too, when one is being recorded. */
export function fieldsOfNow(): Record<string, string> {
  const span = trace.getActiveSpan()?.spanContext();
  return {
    ...current.getStore(),
    ...(span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId }),
  };
}

/** What a workflow is about, by its id: `cancel/SESSION`, `watch/SESSION`, `bulk/PLAN`; any other is named as it is. */
export function aboutWorkflow(workflowId: string): LogFields {
  const slash = workflowId.indexOf('/');
  const subject = workflowId.slice(slash + 1);
  switch (workflowId.slice(0, slash)) {
    case 'cancel':
      return { sessionId: subject, caseId: workflowId };
    case 'watch':
      return { sessionId: subject, workflowId };
    case 'bulk':
      return { planId: subject, workflowId };
    default:
      return { workflowId };
  }
}
