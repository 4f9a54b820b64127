import { ExitCode, UserError } from '../core/errors.js';

export const noOrderOpen = (sessionId: string): UserError =>
  new UserError(
    `No order is open for ${sessionId}. Nothing was changed.`,
    'curfew cases --open shows the open ones.',
    ExitCode.failed,
  );
