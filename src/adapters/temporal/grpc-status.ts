import { isGrpcServiceError } from '@temporalio/client';

/** The gRPC status codes that we tell apart. Numbers: grpc.io, "Status codes and their use in gRPC". */
export const GrpcStatus = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** Whether this is how a server answers that keeps a service to itself, as Temporal Cloud does with its operator service. */
export function isNotAllowed(status: number): boolean {
  const notAllowed: number[] = [GrpcStatus.permissionDenied, GrpcStatus.unimplemented, GrpcStatus.unauthenticated];
  return notAllowed.includes(status);
}

/** Whether a call failed with this status, one of {@link GrpcStatus}. */
export function hasStatus(error: unknown, status: number): boolean {
  return isGrpcServiceError(error) && Number(error.code) === status;
}
