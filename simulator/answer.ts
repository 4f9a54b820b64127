import { ApiError, type ErrorShape } from './errors.js';

/** An answer before it is sent. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export function errorAnswer(error: ApiError, shapeOfWorld: ErrorShape): Answer {
  return { status: error.status, body: error.body(shapeOfWorld), headers: error.options.headers ?? {} };
}

/** Turns refusals into answers; other errors are bugs and go on. */
export function answerOf(perform: () => Answer, shapeOfWorld: ErrorShape): Answer {
  try {
    return perform();
  } catch (error) {
    if (error instanceof ApiError) return errorAnswer(error, shapeOfWorld);
    throw error;
  }
}
