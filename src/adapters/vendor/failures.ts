import { VENDOR_BOUNDS } from '../../core/bounds.js';
import { isSuccess, type Ending, type Head } from './exchange.js';
import { FAILURES, SessionsError, type SessionsErrorKind, type SessionsOperation } from './errors.js';
import { shortened, visible } from '../../core/text/printable.js';
import { parseHttpDate, parseRetryAfter } from '../../platform/http-times.js';

/** What a failed call was about, and how to keep secrets out of what is said about it. */
export interface CallContext {
  readonly operation: SessionsOperation;
  /** Session or agent id; may be anything the caller gave. */
  readonly subject: string | null;
  readonly redact: (text: string) => string;
}

/** Everything that can go wrong, before it is translated. */
export type Trouble =
  | { readonly type: 'ending'; readonly ending: Ending }
  | { readonly type: 'unreadable'; readonly ending: Ending; readonly why: string }
  | { readonly type: 'refused'; readonly kind: 'bad-request' | 'no-credential'; readonly why: string };

const MAX_VENDOR_MESSAGE = VENDOR_BOUNDS.errorMessage.most;
const MAX_CODE = VENDOR_BOUNDS.errorCode.most;
const MAX_SUBJECT = 200;

/** Leaves a byte order mark out. */
const UTF_8 = new TextDecoder();

/** The only place where failures become errors. What they mean is in the table {@link FAILURES}. */
export function translate(trouble: Trouble, context: CallContext): SessionsError {
  const { operation } = context;
  const subject = context.subject === null ? null : clean(context.subject, MAX_SUBJECT, context);
  if (trouble.type === 'refused') {
    return new SessionsError(trouble.kind, { operation, subject, detail: context.redact(trouble.why) });
  }
  const { ending } = trouble;
  const { head } = ending;
  const vendor = readErrorBody(ending, context);
  const kind = trouble.type === 'unreadable' ? 'unreadable' : kindOf(ending, vendor);
  return new SessionsError(kind, {
    operation,
    subject,
    status: head?.status ?? null,
    code: vendor.code,
    retryAfterMs: retryAfterOf(head),
    sent: ending.sent,
    detail: trouble.type === 'unreadable' ? trouble.why : (vendor.message ?? detailOf(ending, kind, context)),
  });
}

function kindOf({ end, head }: Ending, { code, isVendors }: ErrorBody): SessionsErrorKind {
  if (end === 'aborted') return 'aborted';
  if (end === 'unsent') return 'connection-failed';
  // An error's status says what happened even when its body never came; but a 403 has its meaning in the body.
  const bodyMissing = end !== 'complete' && end !== 'too-large';
  if (head !== null && !isSuccess(head) && !(head.status === 403 && bodyMissing)) {
    const kind = kindOfAnswer(head.status, code);
    return isForNow(kind, head, isVendors) ? 'refused-for-now' : kind;
  }
  if (end === 'timeout') return 'timeout';
  return end === 'lost' ? 'connection-lost' : 'unreadable';
}

/**
 * A 403 is the vendor's word only in the vendor's form: proxies and firewalls answer with it, too. And who says when to come
 * again does not mean for ever.
 */
function isForNow(kind: SessionsErrorKind, { status, retryAfter }: Head, isVendors: boolean): boolean {
  if (status === 403 && !isVendors) return true;
  return retryAfter !== undefined && (status === 403 || kind === 'bad-request');
}

function kindOfAnswer(status: number, code: string | null): SessionsErrorKind {
  const rows = Object.entries(FAILURES) as [SessionsErrorKind, (typeof FAILURES)[SessionsErrorKind]][];
  const row = rows.find(([, failure]) =>
    failure.answers.some((answer) => {
      const codeFits = answer.code === undefined || (code !== null && answer.code.test(code));
      return status >= answer.from && status <= answer.to && codeFits;
    }),
  );
  return row?.[0] ?? 'unreadable';
}

function detailOf({ end, head, note }: Ending, kind: SessionsErrorKind, context: CallContext): string | null {
  if (kind === 'redirected') return redirectTarget(head?.location, context);
  if (kind !== 'unreadable') return note;
  return end === 'too-large' ? 'it is too large' : `it broke off${note === null ? '' : ` (${note})`}`;
}

/** Only the host: the rest of a redirect's address may hold anything, our own query included. */
function redirectTarget(location: string | undefined, context: CallContext): string | null {
  if (location === undefined || !URL.canParse(location)) return null;
  const { host } = new URL(location);
  return host === '' ? null : `to the host ${clean(host, MAX_VENDOR_MESSAGE, context)}`;
}

function retryAfterOf(head: Head | null): number | null {
  if (head === null) return null;
  return parseRetryAfter(head.retryAfter, parseHttpDate(head.date) ?? Date.now());
}

interface ErrorBody {
  readonly code: string | null;
  readonly message: string | null;
  /** Of one of the shapes that the vendor answers in. */
  readonly isVendors: boolean;
}

/**
 * Code and message of an error's body. Two shapes are live: `{error: {code, message}}` and `{error: "code", message}`, with
 * `error_description` from OAuth. Bodies that are no JSON tell nothing.
 */
function readErrorBody({ head, body, end }: Ending, context: CallContext): ErrorBody {
  if (head === null || isSuccess(head) || end !== 'complete') return { code: null, message: null, isVendors: false };
  const json = jsonObject(parseJson(body));
  const nested = jsonObject(json['error']);
  const code = firstText(nested['code'], json['error'], nested['type'], json['code']);
  const message = firstText(nested['message'], json['message'], json['error_description']);
  return {
    code: code === null ? null : clean(code, MAX_CODE, context),
    message: message === null ? null : clean(message, MAX_VENDOR_MESSAGE, context),
    isVendors: firstText(nested['code'], json['error'], nested['type']) !== null,
  };
}

/** @returns undefined when it is not JSON */
export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(UTF_8.decode(body));
  } catch {
    return undefined;
  }
}

const jsonObject = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const firstText = (...values: unknown[]): string | null =>
  values.find((value): value is string => typeof value === 'string' && value.trim() !== '') ?? null;

/**
 * One line of text from outside, fit for logs and histories. Redacted before it is cut, so that no half of a secret stays,
 * and after invisible characters have gone, so that none of them hides one.
 */
function clean(text: string, maxLength: number, { redact }: CallContext): string {
  return shortened(redact(visible(text)), maxLength);
}
