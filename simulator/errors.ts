/** The two forms in which the vendor reports errors; both are live. Source: `shared/reference/gumloop-api.md`, section 5. */
export type ErrorShape = 'nested' | 'flat';

interface ApiErrorOptions {
  /** Form of the body; without it the form that the world is set to. */
  readonly shape?: ErrorShape | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Loose top-level fields of a flat body, such as `minimum_tier`. */
  readonly loose?: Readonly<Record<string, unknown>>;
}

/** An error answer of the API: status, the vendor's code, and a sentence for people. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly options: ApiErrorOptions = {},
  ) {
    super(message);
  }

  body(shapeOfWorld: ErrorShape): object {
    if ((this.options.shape ?? shapeOfWorld) === 'flat') {
      return { error: this.code, message: this.message, ...this.options.loose };
    }
    return { error: { code: this.code, type: typeOf(this.status), message: this.message, param: null, details: null } };
  }
}

function typeOf(status: number): string {
  switch (status) {
    case 401:
      return 'authentication_error';
    case 403:
      return 'permission_error';
    case 404:
      return 'not_found_error';
    case 429:
      return 'rate_limit_error';
    default:
      return status >= 500 ? 'api_error' : 'invalid_request_error';
  }
}

export const badRequest = (code: string, message: string): ApiError => new ApiError(400, code, message);

export const notFound = (what: 'agent' | 'session' | 'queued message', shape?: ErrorShape): ApiError =>
  new ApiError(404, 'not_found', `There is no such ${what}.`, { shape });

export const unauthorized = (shape?: ErrorShape): ApiError =>
  new ApiError(401, 'invalid_token', 'The credential is missing, unknown or revoked.', { shape });

// Permission and tier checks answer flat, whatever the rest does.
export const forbiddenSession = (shape: ErrorShape = 'flat'): ApiError =>
  new ApiError(403, 'permission_denied', 'The caller has no update access on this session.', { shape });

export const forbiddenTeam = (): ApiError =>
  new ApiError(403, 'permission_denied', 'The caller is not in this team.', { shape: 'flat' });

export const forbiddenAccount = (code: string, shape: ErrorShape = 'flat'): ApiError =>
  new ApiError(403, code, 'The account may not use this.', {
    shape,
    loose: code.startsWith('tier_required_') ? { minimum_tier: code.slice('tier_required_'.length) } : {},
  });
