import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

/** A collector of traces for OTLP over HTTP, which keeps what it gets. */
export interface OtlpReceiver {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  /** Everything that connected, whatever it asked for. */
  connections(): number;
  /** Paths and bodies of the requests. */
  readonly posts: readonly { readonly path: string; readonly contentType: string | undefined; readonly body: Buffer }[];
  close(): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const posts: { path: string; contentType: string | undefined; body: Buffer }[] = [];
  let connections = 0;
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      posts.push({
        path: request.url ?? '',
        contentType: request.headers['content-type'],
        body: Buffer.concat(chunks),
      });
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  server.on('connection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    connections: () => connections,
    posts,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** One span as it was sent. */
export interface SentSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

type Fields = Map<number, (Buffer | number)[]>;

/**
 * Spans of an ExportTraceServiceRequest. Reads the few fields that tests look at, by their numbers in
 * https://github.com/open-telemetry/opentelemetry-proto/blob/v1.3.2/opentelemetry/proto/trace/v1/trace.proto.
 */
export function spansOf(body: Buffer): SentSpan[] {
  return bytes(body, 1).flatMap((resourceSpans) =>
    bytes(resourceSpans, 2).flatMap((scopeSpans) => bytes(scopeSpans, 2).map(spanOf)),
  );
}

/** Attributes of the resource: `service.name` and the like. */
export const resourceOf = (body: Buffer): SentSpan['attributes'] =>
  attributesOf(bytes(body, 1).flatMap((resourceSpans) => bytes(resourceSpans, 1).flatMap((one) => bytes(one, 1))));

const spanOf = (span: Buffer): SentSpan => ({
  traceId: bytes(span, 1)[0]?.toString('hex') ?? '',
  spanId: bytes(span, 2)[0]?.toString('hex') ?? '',
  parentSpanId: bytes(span, 4)[0]?.toString('hex') ?? '',
  name: bytes(span, 5)[0]?.toString('utf8') ?? '',
  attributes: attributesOf(bytes(span, 9)),
});

function attributesOf(pairs: readonly Buffer[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const value = fieldsOf(bytes(pair, 2)[0] ?? Buffer.alloc(0));
      const text = value.get(1)?.[0];
      const read = Buffer.isBuffer(text) ? text.toString('utf8') : Number(value.get(3)?.[0] ?? value.get(2)?.[0] ?? 0);
      return [bytes(pair, 1)[0]?.toString('utf8') ?? '', read];
    }),
  );
}

const bytes = (message: Buffer, field: number): Buffer[] =>
  (fieldsOf(message).get(field) ?? []).filter((value): value is Buffer => Buffer.isBuffer(value));

/** The wire format of protobuf: https://protobuf.dev/programming-guides/encoding/. */
function fieldsOf(message: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = message.readUInt8(at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const [field, type] = [Math.floor(tag / 8), tag % 8];
    let value: Buffer | number;
    if (type === 0) value = varint();
    else {
      const length = type === 2 ? varint() : type === 1 ? 8 : 4;
      value = message.subarray(at, at + length);
      at += length;
    }
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}
