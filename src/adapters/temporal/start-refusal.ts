import { isGrpcServiceError } from '@temporalio/client';
import { UserError } from '../../core/errors.js';
import { GrpcStatus } from './grpc-status.js';

/** A server that answers so may take the same start a moment later. */
const PASSING: readonly number[] = [
  GrpcStatus.cancelled,
  GrpcStatus.unknown,
  GrpcStatus.deadlineExceeded,
  GrpcStatus.resourceExhausted,
  GrpcStatus.aborted,
  GrpcStatus.internal,
  GrpcStatus.unavailable,
];

/**
 * Why a workflow could not be started, where trying again changes nothing: its id is too long for the server, say, or the key may
 * not start workflows.
 *
 * @returns the server's words; null when it did not answer, or is busy, which passes
 */
export function startRefusal(error: unknown): string | null {
  if (error instanceof UserError) return `${error.message} ${error.next}`;
  // The SDK wraps what the server has said, in most of its calls.
  const said = error instanceof Error && !isGrpcServiceError(error) && error.cause != null ? error.cause : error;
  if (isGrpcServiceError(said) && PASSING.includes(Number(said.code))) return null;
  const words = said instanceof Error ? said.message : String(said);
  return words.replace(/^\d+ [A-Z_]+: /, '').replace(/\.$/, '');
}
