import { codeOf, messageOf, type UnavailableReason } from './errors.js';
import type { PostgresSettings } from './postgres-url.js';

/** Why PostgreSQL could not be connected to. */
export interface ConnectionFailure {
  readonly reason: UnavailableReason;
  /** What happened, in words; may quote the server, never a password. */
  readonly says: string;
  /** What to do about it; undefined: what is right for the reason. */
  readonly next?: string | undefined;
}

/** The server asks for a password, and there is none. */
export class MissingPasswordError extends Error {
  /** @param note - why the password file was passed over, if it was */
  constructor(note: string | null) {
    super(`it asks for a password, and none is set${note === null ? '' : ` (${note})`}`);
  }
}

/**
 * What an error means for whoever set the connection up; null when it is about something else than the way in.
 *
 * Sources: Node.js manual, tls, "X509 certificate error codes"; PostgreSQL's and PgBouncer's own messages, which they do not
 * translate before a client is let in (PgBouncer gives all of them one code).
 */
export function wayInFailure(error: unknown, settings: PostgresSettings): ConnectionFailure | null {
  if (error instanceof MissingPasswordError) {
    return {
      reason: 'refused',
      says: error.message,
      next: 'Put the password into CURFEW_DATABASE_URL (postgres://user:password@host:5432/database), set PGPASSWORD, or add a line to ~/.pgpass.',
    };
  }
  return tlsFailure(error, settings) ?? refusal(error, settings);
}

const OWN_AUTHORITY = 'sslmode=verify-full&sslrootcert=/path/to/ca.pem';
const UNCHECKED = 'sslmode=no-verify encrypts without a check: anyone on the way can then read and change everything';

function tlsFailure(error: unknown, { tlsMode, tlsFiles, host }: PostgresSettings): ConnectionFailure | null {
  if (tlsMode === 'disable') return null;
  const code = codeOf(error) ?? '';
  const said = messageOf(error);
  const tls = (says: string, next: string): ConnectionFailure => ({ reason: 'tls', says, next });

  if (said.includes('does not support SSL')) {
    return tls(
      'the server does not offer TLS',
      'Turn TLS on in the server (`ssl = on`). Or, where nobody else is on the way to it, set sslmode=disable in CURFEW_DATABASE_URL.',
    );
  }
  if (
    /SELF_SIGNED|^UNABLE_TO_|^CERT_(UNTRUSTED|CHAIN_TOO_LONG|SIGNATURE_FAILURE|REJECTED)$|^INVALID_(CA|PURPOSE)$/.test(
      code,
    )
  ) {
    const trusted = tlsFiles.rootCert === null ? 'that Node.js trusts' : `in ${tlsFiles.rootCert}`;
    return tls(
      `the server's certificate is not signed by an authority ${trusted} (${said})`,
      tlsFiles.rootCert === null
        ? `Set ${OWN_AUTHORITY} in CURFEW_DATABASE_URL, with the certificate of the authority that signed it. (${UNCHECKED}.)`
        : `Let sslrootcert name the certificate of the authority that signed it. (${UNCHECKED}.)`,
    );
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return tls(
      `the server's certificate is for another name than ${host} (${said.replace(/\.$/, '')})`,
      `Let CURFEW_DATABASE_URL name the host as the certificate does. Or set sslmode=verify-ca with sslrootcert, which checks the authority and not the name. (${UNCHECKED}.)`,
    );
  }
  if (/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/.test(code)) {
    const when = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet';
    return tls(`the server's certificate ${when}`, 'Renew it, or set the clock of this machine.');
  }
  if (/CERTIFICATE_REQUIRED|ALERT_(UNKNOWN_CA|BAD_CERTIFICATE)|HANDSHAKE_FAILURE/.test(code)) {
    return tls(
      `the server does not accept our certificate, or needs one (${said})`,
      'Set sslcert and sslkey in CURFEW_DATABASE_URL to a certificate and key for this user that the server trusts.',
    );
  }
  if (/CERT|^CRL_|^HOSTNAME_MISMATCH$|^ERR_(TLS|SSL|OSSL)_|^EPROTO$/.test(code)) {
    return tls(
      `no agreement on TLS: ${said}`,
      'Check the TLS settings of the server, and sslmode in CURFEW_DATABASE_URL.',
    );
  }
  return null;
}

function refusal(error: unknown, { tlsMode }: PostgresSettings): ConnectionFailure | null {
  const says = messageOf(error);
  // PostgreSQL, PgBouncer, and those who run PostgreSQL for others.
  const unencrypted =
    /no pg_hba\.conf entry.*(no encryption|SSL off)|SSL( connection| encryption|\/TLS)?( is)? required/i;
  if (tlsMode === 'disable' && unencrypted.test(says)) {
    return {
      reason: 'refused',
      says,
      next: `It does not accept this user, or not without TLS: set sslmode=verify-full in CURFEW_DATABASE_URL (and sslrootcert=/path/to/ca.pem for an authority of your own), or check pg_hba.conf.`,
    };
  }
  if (/requires a valid client certificate|certificate authentication failed/.test(says)) {
    return { reason: 'refused', says, next: 'Set sslcert and sslkey in CURFEW_DATABASE_URL.' };
  }
  if (/unsupported startup parameter/.test(says)) {
    return {
      reason: 'refused',
      says,
      next: 'A connection pooler does not take this setting at the start of a connection: remove `options` from CURFEW_DATABASE_URL and PGOPTIONS, or list it in ignore_startup_parameters of PgBouncer.',
    };
  }
  if (
    /(password|SASL) authentication failed|no such (user|database)|^(database|role) ".*" does not exist$/.test(says)
  ) {
    return { reason: 'refused', says };
  }
  return /^SASL: /.test(says) ? { reason: 'refused', says } : null;
}
