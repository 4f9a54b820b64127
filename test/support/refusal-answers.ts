import type { SessionsError, SessionsOperation } from '../../src/sessions/index.js';
import { translate } from '../../src/sessions/failures.js';
import { SESSION } from './gate-harness.js';

/** An HTTP answer as some server gives it. */
export interface Answered {
  readonly status: number;
  /** Left out: the vendor's own JSON. */
  readonly body?: string;
  readonly code?: string;
  readonly retryAfter?: string;
}

/** What the client makes of an answer. */
export function failureFrom(operation: SessionsOperation, answered: Answered): SessionsError {
  const { status, code = `code_${status}`, retryAfter } = answered;
  const body = answered.body ?? JSON.stringify({ error: code, message: 'Refused.' });
  return translate(
    {
      type: 'ending',
      ending: {
        ...{ end: 'complete', sent: true, note: null, sentAt: 0, receivedAt: 0 },
        head: { status, date: undefined, retryAfter, location: undefined },
        body: new TextEncoder().encode(body),
      },
    },
    { operation, subject: SESSION, redact: (text) => text },
  );
}
