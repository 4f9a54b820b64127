import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { spanned } from '../../platform/tracing/spans.js';
import { exchange, type Ending, type Exchange } from './exchange.js';
import type { Transport } from './transport.js';

/**
 * Path of a request with its ids left out, as in `/sessions/{id}/cancel`. Every second part of the vendor's paths is an id.
 *
 * Source: https://opentelemetry.io/docs/specs/semconv/http/http-spans/, `url.template`.
 */
export const templateOf = ({ path }: { readonly path: readonly string[] }): string =>
  `/${path.map((part, index) => (index % 2 === 1 ? '{id}' : part)).join('/')}`;

/** {@link exchange} in a span, which tells neither headers nor bodies, nor the address with its parameters. */
export function tracedExchange(transport: Transport, template: string, outgoing: Exchange): Promise<Ending> {
  const { method } = outgoing;
  const attributes = { 'http.request.method': method, 'url.template': template };
  return spanned(
    `${method} ${template}`,
    attributes,
    async (span) => {
      const ending = await exchange(transport, outgoing);
      const { end, head, sent } = ending;
      span.setAttribute('curfew.request_sent', sent);
      if (head !== null) span.setAttribute('http.response.status_code', head.status);
      if (end !== 'complete' || head === null || head.status >= 400) {
        const type = end === 'complete' && head !== null ? String(head.status) : end;
        span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR, message: type });
      }
      return ending;
    },
    SpanKind.CLIENT,
  );
}
