import { shell } from '../../core/text/shell.js';
import { isGrpcServiceError } from '@temporalio/client';
import { ExitCode, UserError } from '../../core/errors.js';
import { GrpcStatus } from './grpc-status.js';

/** Why Temporal can't be used, in words, and whether waiting may help. */
export interface ConnectionFailure {
  error: UserError;
  /** False when only a person can change it: refused credentials, a certificate that is not trusted. */
  retryable: boolean;
}

/**
 * Puts a failed attempt to connect into words. Never shows metadata or keys.
 *
 * @param cause - what the SDK's connection threw
 */
export function explainConnectionFailure(cause: unknown, address: string, namespace: string): ConnectionFailure {
  const { status, details } = readCause(cause);
  const at = `Temporal at ${address}`;
  const failure = (message: string, next: string, retryable: boolean): ConnectionFailure => ({
    error: new UserError(message, next, ExitCode.unreachable),
    retryable,
  });
  switch (status) {
    case GrpcStatus.notFound:
      return failure(
        `${at} answers, but has no namespace "${namespace}".`,
        `Create it (\`${shell`temporal operator namespace create -n ${namespace}`}\`), or set TEMPORAL_NAMESPACE.`,
        // It may be made a moment from now, by the same compose file that starts us.
        true,
      );
    case GrpcStatus.unauthenticated:
    case GrpcStatus.permissionDenied:
      return failure(
        `${at} refuses our credentials for namespace "${namespace}".`,
        'Check TEMPORAL_API_KEY or the client certificate, and what they are allowed in this namespace.',
        false,
      );
    case GrpcStatus.unimplemented:
      return failure(
        `What answers at ${address} is not Temporal's gRPC frontend.`,
        'Check TEMPORAL_ADDRESS; the frontend listens on port 7233 by default, the web UI on another.',
        false,
      );
    default:
    // UNAVAILABLE and its like: the text says why.
  }
  const certificate = CERTIFICATE.exec(details)?.[0];
  if (certificate !== undefined) {
    return failure(
      `${at} shows a certificate that is not trusted (${certificate}).`,
      'Set TEMPORAL_TLS_SERVER_CA_CERT_PATH to its authority, or TEMPORAL_TLS_SERVER_NAME to the name in it.',
      false,
    );
  }
  if (CLIENT_CERTIFICATE_REFUSED.test(details)) {
    return failure(
      `${at} needs a client certificate, or refuses ours.`,
      'Set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH to a pair that its authority has signed.',
      false,
    );
  }
  if (BAD_KEY_PAIR.test(details)) {
    return failure(
      'The client certificate or key for Temporal can not be used: the files hold no matching pair in PEM form.',
      'Check TEMPORAL_TLS_CLIENT_CERT_PATH, TEMPORAL_TLS_CLIENT_KEY_PATH and TEMPORAL_TLS_SERVER_CA_CERT_PATH.',
      false,
    );
  }
  return failure(
    `${at} can't be reached (${shortReason(details, status)}).`,
    /wrong version number|EPROTO/i.test(details)
      ? 'The server speaks no TLS there: unset TEMPORAL_API_KEY and TEMPORAL_TLS…, or correct TEMPORAL_ADDRESS.'
      : 'Check that the server runs and that TEMPORAL_ADDRESS is right, then try again.',
    true,
  );
}

/** Texts of OpenSSL, by Node, and of rustls, by the SDK's core. */
const CERTIFICATE =
  /self[- ]signed certificate( in certificate chain)?|unable to (verify the first certificate|get (local )?issuer certificate)|certificate has expired|CERT_HAS_EXPIRED|does not match certificate's altnames|invalid peer certificate: \w+/i;
/** What the server says in a TLS alert, after it has looked at our certificate, or in vain for one. */
const CLIENT_CERTIFICATE_REFUSED =
  /alert (certificate (required|unknown|expired|revoked)|bad certificate|unknown ca|handshake failure)|fatal alert: (CertificateRequired|CertificateUnknown|BadCertificate|UnknownCA)/i;
const BAD_KEY_PAIR =
  /PEM routines|no start line|key values mismatch|unsupported key|asn1 encoding|bad decrypt|invalid certificate/i;

function readCause(cause: unknown): { status: number | null; details: string } {
  if (isGrpcServiceError(cause)) return { status: Number(cause.code), details: cause.details };
  if (!(cause instanceof Error)) return { status: null, details: String(cause) };
  if (isGrpcServiceError(cause.cause)) return readCause(cause.cause);
  return { status: null, details: cause.message };
}

function shortReason(details: string, status: number | null): string {
  const known: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ENOTFOUND: 'no such host',
    EAI_AGAIN: 'host name can not be looked up',
    ECONNRESET: 'connection was cut; perhaps it needs TLS, or a client certificate',
    // With TLS 1.3 a client may be through before the server's alert about its certificate comes.
    'Last error: Failed to connect': 'connection was cut; perhaps it needs TLS, or a client certificate',
    ETIMEDOUT: 'no answer',
    EHOSTUNREACH: 'no route to host',
    'wrong version number': 'it answers without TLS',
  };
  const hit = Object.entries(known).find(([text]) => details.includes(text));
  if (hit) return hit[1];
  if (status === GrpcStatus.deadlineExceeded) return 'no answer in time';
  return details.split('\n')[0]?.slice(0, 200) || 'no reason given';
}
