import { createHash } from 'node:crypto';
import {
  context,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Span,
} from '@opentelemetry/api';

/*
 * Only OpenTelemetry's API, whose spans cost next to nothing until `startTracing` has put an SDK behind it.
 */

/** Goes over to the SDK's by itself, when there is one. */
const tracer = trace.getTracer('curfew');

/** Names an activity's span and ties it to the others of its workflow. */
export interface StepSpan {
  readonly name: string;
  readonly workflowId: string;
  readonly runId: string;
  readonly attributes: Attributes;
}

/**
 * Does one step of a workflow in a span. All steps of one run of a workflow are in one trace, whichever worker does them and
 * however long it lasts: its id is made from the run's, so that nothing has to travel through the workflow.
 */
export const spanOfStep = <T>({ name, workflowId, runId, attributes }: StepSpan, step: () => Promise<T>): Promise<T> =>
  within(name, SpanKind.INTERNAL, attributes, step, parentOf(workflowId, runId));

/** Does a piece of work in a span below the one that is active. */
export const spanned = <T>(
  name: string,
  attributes: Attributes,
  work: (span: Span) => Promise<T>,
  kind: SpanKind = SpanKind.INTERNAL,
): Promise<T> => within(name, kind, attributes, work, context.active());

function within<T>(
  name: string,
  kind: SpanKind,
  attributes: Attributes,
  work: (span: Span) => Promise<T>,
  parent: Context,
): Promise<T> {
  const span = tracer.startSpan(name, { kind, attributes }, parent);
  // Nobody records spans: there is nothing to pass on either, and bulk jobs come here thousands of times a second.
  if (span.spanContext() === INVALID_SPAN_CONTEXT) return work(span);
  return context.with(trace.setSpan(parent, span), async () => {
    try {
      return await work(span);
    } catch (error) {
      // Its name alone: messages and stacks may quote what a vendor said.
      span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : 'Error' });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** The parent that the steps of a run have in common. Nobody records it: tracing tools show the steps side by side below it. */
function parentOf(workflowId: string, runId: string): Context {
  const hash = createHash('sha256').update(`${workflowId}\n${runId}`).digest('hex');
  const parent = {
    traceId: hash.slice(0, 32),
    spanId: hash.slice(32, 48),
    traceFlags: TraceFlags.SAMPLED,
    isRemote: true,
  };
  return isSpanContextValid(parent) ? trace.setSpanContext(context.active(), parent) : context.active();
}
