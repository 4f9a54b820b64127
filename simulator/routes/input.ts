import * as z from 'zod';
import { badRequest } from '../errors.js';

/** What fails in a query or body, in the vendor's codes; other fields give `invalid_request`. */
const CODES: Readonly<Record<string, string>> = {
  page_size: 'invalid_page_size',
  cursor: 'invalid_cursor',
  sort_order: 'invalid_sort',
  attachments: 'invalid_attachment',
};

/** @throws {ApiError} 400 that names the first field that does not fit */
export function parseInput<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = String(issue?.path[0] ?? 'body');
  throw badRequest(CODES[field] ?? 'invalid_request', `${field}: ${issue?.message ?? 'does not fit'}`);
}

/** `page_size` as it stands in a query: decimal digits, 1 to 100. */
export const pageSize = z
  .string()
  .regex(/^\d{1,3}$/, 'must be a whole number')
  .transform(Number)
  .refine((size) => size >= 1 && size <= 100, 'must be 1 to 100');

export const queryBoolean = z.enum(['true', 'false']).transform((text) => text === 'true');

const content = z.union([z.string(), z.array(z.unknown())]);
type Content = z.output<typeof content>;

/** The fields by which create and send take a user message. */
export const messageFields = {
  input: content.optional(),
  message: content.optional(),
  stream: z.boolean().optional(),
};

/** @returns the text of a user message; null when there is none */
export function textOf(body: { input?: Content | undefined; message?: Content | undefined }): string | null {
  const given = body.input ?? body.message;
  const text = typeof given === 'string' ? given : (given ?? []).map(partText).filter(Boolean).join('\n');
  return text.trim() === '' ? null : text;
}

function partText(part: unknown): string {
  if (typeof part === 'string') return part;
  const text = z.object({ text: z.string() }).safeParse(part);
  return text.success ? text.data.text : JSON.stringify(part);
}

/** @throws {ApiError} 400 when a stream is asked for: those are served by another host */
export function refuseStream(stream: unknown): void {
  if (stream === true || stream === 'true') {
    throw badRequest('stream_not_supported_on_this_host', 'Streams are served by the streaming host.');
  }
}
