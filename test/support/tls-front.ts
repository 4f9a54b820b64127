import { readFileSync, writeFileSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import { connect, createSecureServer, type Http2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** Files of certificates. */
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

type Extensions = NonNullable<NonNullable<Parameters<typeof generate>[1]>['extensions']>;

/** @param folder - where the files are to lie */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const made = async (name: string, extensions: Extensions, ca?: { key: string; cert: string }) => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
      ...{ keyType: 'ec', algorithm: 'sha256', extensions, ...(ca && { ca }) },
    });
    const files = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
    writeFileSync(files.cert, cert);
    writeFileSync(files.key, key);
    return { files, pems: { cert, key } };
  };
  const authority = (name: string) =>
    made(name, [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ]);
  const [ca, otherCa] = [await authority('ca'), await authority('other-ca')];
  const names: Extensions = [
    {
      name: 'subjectAltName',
      altNames: [
        { type: 2, value: 'temporal.test' },
        { type: 7, ip: '127.0.0.1' },
      ],
    },
  ];
  const signed = async (name: string, by: typeof ca): Promise<Pair> => (await made(name, names, by.pems)).files;
  return {
    ca: ca.files.cert,
    otherCa: otherCa.files.cert,
    server: await signed('server', ca),
    client: await signed('client', ca),
    stranger: await signed('stranger', otherCa),
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
