import { printableJson } from '../../core/text/printable.js';
import { SpanStatusCode } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { detectResourcesSync, envDetectorSync, Resource } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  type SpanExporter,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-node';
import type { Environment } from '../config.js';
import { VERSION } from '../version.js';

/*
 * The 1.x line of OpenTelemetry's packages: the 2.x line wants a newer Node.js than the oldest that Curfew runs on (20.3).
 */

/** A collector that is away must not hold up the end of a worker, ms. */
const FLUSH_MS = 5_000;

/** Loaded only when spans are recorded. */
export function startSdk(destination: 'otlp' | 'console', env: Environment): Tracing {
  // The SDK reads the process's environment by itself; some settings may come from a `.env` file.
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith('OTEL_') && value !== undefined) process.env[name] ??= value;
  }
  // Every step has a parent, made up by us and always taken for sampled: a sampler that asks the parent first is never asked.
  const sampler = process.env['OTEL_TRACES_SAMPLER'];
  if (sampler !== undefined) process.env['OTEL_TRACES_SAMPLER'] = sampler.replace(/^parentbased_/, '');
  const own = new Resource({ 'service.name': 'curfew', 'service.version': VERSION });
  const exporter = destination === 'otlp' ? new OTLPTraceExporter() : linesOnStderr();
  const provider = new NodeTracerProvider({
    // Those of OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
    resource: own.merge(detectResourcesSync({ detectors: [envDetectorSync] })),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  provider.register();
  return {
    async shutdown() {
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, FLUSH_MS);
      });
      await Promise.race([provider.shutdown().catch(() => undefined), patience]);
      clearTimeout(timer);
    },
  };
}

/** One JSON document a line. The SDK's own console exporter writes to stdout, which belongs to results. */
function linesOnStderr(): SpanExporter {
  return {
    export(spans, done) {
      for (const span of spans) process.stderr.write(`${printableJson(lineOf(span))}\n`);
      done({ code: 0 });
    },
    shutdown: () => Promise.resolve(),
  };
}

function lineOf(span: ReadableSpan): object {
  const { traceId, spanId } = span.spanContext();
  const [seconds, nanos] = span.duration;
  return {
    span: span.name,
    trace_id: traceId,
    span_id: spanId,
    parent_span_id: span.parentSpanId ?? null,
    start: new Date(span.startTime[0] * 1_000 + span.startTime[1] / 1e6).toISOString(),
    ms: seconds * 1_000 + nanos / 1e6,
    attributes: span.attributes,
    failed: span.status.code === SpanStatusCode.ERROR,
  };
}

/** Spans are being recorded. */
export interface Tracing {
  /** Sends what is recorded and not sent yet; takes a few seconds at most, and never fails. */
  shutdown(): Promise<void>;
}
