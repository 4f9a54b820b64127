import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import { connect, createSecureServer, type Http2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** Files of certificates, made with openssl. */
export interface Certificates {
  /** Of the authority that signed `server` and `client`. */
  readonly ca: string;
  /** Of another one, which signed `stranger`. */
  readonly otherCa: string;
  readonly server: Pair;
  readonly client: Pair;
  readonly stranger: Pair;
}
interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** @param folder - where the files are to lie */
export function makeCertificates(folder: string): Certificates {
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const path = (name: string): string => join(folder, name);
  const authority = (name: string): string => {
    openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.crt`],
    );
    return path(`${name}.crt`);
  };
  const signed = (name: string, by: string): Pair => {
    writeFileSync(path(`${name}.ext`), 'subjectAltName=DNS:temporal.test,IP:127.0.0.1\n');
    openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`],
      ...['-keyout', `${name}.key`, '-out', `${name}.csr`],
    );
    openssl(
      ...['x509', '-req', '-days', '2', '-in', `${name}.csr`, '-CA', `${by}.crt`, '-CAkey', `${by}.key`],
      ...['-CAcreateserial', '-extfile', `${name}.ext`, '-out', `${name}.crt`],
    );
    return { cert: path(`${name}.crt`), key: path(`${name}.key`) };
  };
  return {
    ca: authority('ca'),
    otherCa: authority('other-ca'),
    server: signed('server', 'ca'),
    client: signed('client', 'ca'),
    stranger: signed('stranger', 'other-ca'),
  };
}

/** A gRPC front with TLS before a server without. */
export interface TlsFront {
  readonly address: string;
  /** Every `authorization` header that came, null where there was none. */
  readonly authorizations: (string | null)[];
  /** Requests with any other header are refused as Temporal Cloud does; null lets all pass. */
  wanted: string | null;
  close(): Promise<void>;
}

/** @param mutual - whether clients have to show a certificate of the authority */
export async function startTlsFront(target: string, { ca, server }: Certificates, mutual: boolean): Promise<TlsFront> {
  const upstream = connect(`http://${target}`);
  const sessions = new Set<Http2Session>();
  const authorizations: (string | null)[] = [];
  const front = createSecureServer({
    ...{ cert: readFileSync(server.cert), key: readFileSync(server.key), ca: readFileSync(ca) },
    ...{ requestCert: mutual, rejectUnauthorized: mutual },
  });
  front.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  front.on('stream', (stream, headers) => {
    const { authorization } = headers;
    authorizations.push(authorization ?? null);
    stream.on('error', () => {});
    if (made.wanted !== null && authorization !== made.wanted) {
      stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': '16',
          'grpc-message': 'Request unauthorized.',
        },
        { endStream: true },
      );
      return;
    }
    const forwarded = upstream.request({ ...headers, ':authority': target, ':scheme': 'http' });
    let trailers: OutgoingHttpHeaders = {};
    forwarded.on('error', () => stream.close());
    forwarded.on('response', (answer, flags) => {
      const isAll = (flags & 1) === 1;
      stream.respond(answer, isAll ? { endStream: true } : { waitForTrailers: true });
      if (!isAll) forwarded.pipe(stream);
    });
    forwarded.on('trailers', (given: OutgoingHttpHeaders) => void (trailers = given));
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.on('close', () => forwarded.close());
    stream.pipe(forwarded);
  });
  front.on('sessionError', () => {});
  await new Promise<void>((done) => front.listen(0, '127.0.0.1', done));
  const made: TlsFront = {
    address: `127.0.0.1:${(front.address() as AddressInfo).port}`,
    authorizations,
    wanted: null,
    close: async () => {
      for (const session of sessions) session.destroy();
      upstream.destroy();
      await new Promise<void>((done) => front.close(() => done()));
    },
  };
  return made;
}
