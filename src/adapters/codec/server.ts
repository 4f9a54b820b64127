import { createHash, timingSafeEqual } from 'node:crypto';
import cors from '@fastify/cors';
import type { Payload, PayloadCodec } from '@temporalio/common';
import fastify from 'fastify';
import * as z from 'zod';
import { ExitCode, UserError } from '../../core/errors.js';
import { isLoopbackHost } from '../../platform/loopback-host.js';
import type { SecretFile } from '../../platform/secret-file.js';

/** A running codec server. */
export interface CodecServer {
  readonly url: string;
  close(): Promise<void>;
}

export interface CodecServerOptions {
  readonly codec: PayloadCodec;
  /** Name or address to listen on. Others than loopback need a token. */
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
  /** Origins whose pages may ask: that of Temporal's UI, such as `http://127.0.0.1:8233`. */
  readonly origins: readonly string[];
  /** Wanted as `Authorization: Bearer …`; null for none. */
  readonly token: SecretFile | null;
}

/** Temporal's UI asks for a page of history at once; the server's own limit for a message is 4 MB, base64 adds a third. */
const BODY_LIMIT = 16 * 1024 * 1024;

const base64 = z.base64().transform((text) => Buffer.from(text, 'base64'));
/** `temporal.api.common.v1.Payloads` in the JSON form of Protocol Buffers. */
const body = z.object({
  payloads: z
    .array(
      z
        .object({ metadata: z.record(z.string(), base64).nullish(), data: base64.nullish() })
        .transform(({ metadata, data }): Payload => ({
          ...(metadata != null && { metadata }),
          ...(data != null && { data }),
        })),
    )
    .default([]),
});

/**
 * Serves `/encode` and `/decode` as Temporal's remote codec protocol has it, for its UI and CLI. The header `X-Namespace` that
 * comes along is not needed: one file of keys is for one Curfew.
 *
 * @throws {UserError} if the address can't be listened on, or would be open to the network without a token
 */
export async function startCodecServer(options: CodecServerOptions): Promise<CodecServer> {
  const { codec, host, port, origins, token } = options;
  if (token === null && !isLoopbackHost(host)) {
    throw new UserError(
      `Without a token, whoever reaches ${host} could have payloads decrypted. Nothing was started.`,
      'Set CURFEW_CODEC_TOKEN_FILE to a file with a token, or remove --host.',
      ExitCode.refused,
    );
  }
  const app = fastify({ bodyLimit: BODY_LIMIT, logger: false });
  await app.register(cors, {
    origin: [...origins],
    methods: ['POST'],
    allowedHeaders: ['content-type', 'x-namespace', 'authorization'],
  });
  app.addHook('onRequest', async (request, reply) => {
    // Without a token only this machine's own pages and programs may ask: not a page of elsewhere whose host name was
    // made to point here.
    if (token === null && !isLoopbackHost(request.hostname)) return reply.code(403).send(refusal('unknown host name'));
    if (token !== null && !(await isBearer(request.headers.authorization, token))) {
      return reply.code(401).header('www-authenticate', 'Bearer').send(refusal('the token is missing or wrong'));
    }
  });
  for (const [path, convert] of [
    ['/encode', codec.encode.bind(codec)],
    ['/decode', codec.decode.bind(codec)],
  ] as const) {
    app.post(path, async (request, reply) => {
      const parsed = body.safeParse(request.body);
      if (!parsed.success) return reply.code(400).send(refusal('the body is not { "payloads": [ … ] }'));
      return { payloads: (await convert(parsed.data.payloads)).map(asJson) };
    });
  }
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(refusal('POST /encode and POST /decode are here')));
  app.setErrorHandler((error: { statusCode?: number; message?: string }, _request, reply) => {
    if (error instanceof UserError) return reply.code(400).send(refusal(`${error.message} ${error.next}`));
    // The framework's own refusals (size, media type, broken JSON) may quote the body; the status says enough.
    const status = error.statusCode ?? 500;
    return reply.code(status).send(refusal(status < 500 ? 'the request can not be read' : 'this is not expected'));
  });
  try {
    const url = await app.listen({ host, port });
    return { url, close: () => app.close() };
  } catch (error) {
    await app.close();
    throw new UserError(
      `The codec server can't listen on ${host}, port ${port} (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}).`,
      'Give another port: --port 8082.',
      ExitCode.unreachable,
    );
  }
}

const refusal = (message: string): { message: string } => ({ message });

const asJson = ({ metadata, data }: Payload) => ({
  metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, toBase64(value)])),
  data: toBase64(data ?? new Uint8Array()),
});

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

async function isBearer(header: string | undefined, token: SecretFile): Promise<boolean> {
  const wanted = await token.read();
  const given = /^Bearer (.+)$/i.exec(header ?? '')?.[1];
  if (wanted === null || given === undefined) return false;
  // Of one length, as the comparison wants it, and so that the length tells nothing.
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(wanted), digest(given));
}
