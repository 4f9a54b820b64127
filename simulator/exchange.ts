import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { answerOf, errorAnswer, type Answer } from './answer.js';
import { ApiError, forbiddenAccount, forbiddenSession, notFound, unauthorized } from './errors.js';
import { isTurnFault, type AnswerFault, type FormFault, type Operation, type TurnFault } from './fault-schema.js';
import type { Target } from './faults.js';
import { deform, type WireSession } from './form.js';
import type { World } from './world.js';

/**
 * Carries an operation out.
 * @param at - when, by the world's clock; later than the request when a fault delays the effect
 * @param fault - a fault of the turn that the operation is to play
 */
export type Perform = (at: number, fault: TurnFault | null) => Answer;

const HTML = '<!doctype html><html><head><title>Service unavailable</title></head><body><h1>Sorry</h1></body></html>';

/** Answers requests of the API, with the faults that strike them. */
export class Exchange {
  constructor(
    private readonly world: World,
    /** Ends waits when the simulator closes. */
    private readonly closing: AbortSignal,
  ) {}

  async answer(
    request: FastifyRequest,
    reply: FastifyReply,
    operation: Operation,
    target: Target,
    perform: Perform,
  ): Promise<FastifyReply> {
    const now = this.world.settle();
    const agentId = target.agentId ?? this.world.findOrNull(target.sessionId ?? '')?.agentId;
    const { deed, form } = this.world.faults.strike(operation, { ...target, agentId });
    const cancel = this.world.truthBook.cancelOf(request.id);
    if (cancel !== undefined) cancel.fault = deed?.fault ?? form[0]?.fault ?? null;

    let done: Answer | undefined;
    const shape = this.world.options.errorShape;
    const performOnce = (at: number, fault: TurnFault | null): Answer => {
      done ??= this.#deformed(
        answerOf(() => perform(at, fault), shape),
        form,
      );
      return done;
    };
    if (deed === null || isTurnFault(deed)) return send(reply, performOnce(now, deed));
    return this.#spoil(request, reply, deed, now, (at) => performOnce(at, null));
  }

  async #spoil(
    request: FastifyRequest,
    reply: FastifyReply,
    fault: AnswerFault,
    now: number,
    perform: (at: number) => Answer,
  ): Promise<FastifyReply> {
    const refuse = (error: ApiError) => send(reply, errorAnswer(error, this.world.options.errorShape));
    const takeEffect = (after: number) => {
      if (after === 0) perform(now);
      else this.world.agenda.add(now + after, perform);
    };
    if ('effect' in fault && fault.effect) takeEffect(fault.effectAfter);

    switch (fault.fault) {
      case 'pass':
        return send(reply, perform(now));
      case 'failed-to-abort':
        return refuse(new ApiError(500, 'failed_to_abort', 'The abort could not be stored.', { shape: fault.shape }));
      case 'server-error':
        return this.#errorPage(reply, fault.status, fault.body, () =>
          refuse(new ApiError(fault.status, 'internal_error', 'Something went wrong.')),
        );
      case 'client-error': {
        const { status, body, code, retryAfterSeconds: seconds, shape } = fault;
        const headers = seconds === null ? {} : { 'retry-after': String(seconds) };
        reply.headers(headers);
        return this.#errorPage(reply, status, body, () =>
          refuse(new ApiError(status, code, 'The request was refused.', { shape, headers })),
        );
      }
      case 'rate-limited':
        return refuse(
          new ApiError(429, 'rate_limit_exceeded', 'Too many requests.', {
            shape: fault.shape,
            headers: retryAfter(fault, now),
          }),
        );
      case 'hang':
        // The answer that never comes: the client ends this, or the simulator's close.
        return reply.hijack();
      case 'reset-before-effect':
        return this.#reset(request, reply);
      case 'reset-after-effect':
        takeEffect(fault.effectAfter);
        return this.#reset(request, reply);
      case 'html-body':
        return reply.code(200).type('text/html; charset=utf-8').send(HTML);
      case 'truncated-body':
        return fault.cut === 'json' ? this.#cutJson(reply, perform(now)) : this.#cutOff(request, reply, perform(now));
      case 'lagging-answer':
        takeEffect(fault.effectAfter);
        return this.#answerLate(reply, fault.delay, perform);
      case 'redirect':
        return reply.code(fault.status).header('location', fault.location).send('');
      case 'unauthorized':
        return refuse(unauthorized(fault.shape));
      case 'forbidden-session':
        return refuse(forbiddenSession(fault.shape));
      case 'forbidden-account':
        return refuse(forbiddenAccount(fault.code, fault.shape));
      case 'not-found':
        return refuse(notFound('session', fault.shape));
      case 'conflict':
        return refuse(new ApiError(409, fault.code, 'The request conflicts with another.', { shape: fault.shape }));
    }
  }

  async #answerLate(reply: FastifyReply, delay: number, perform: (at: number) => Answer): Promise<FastifyReply> {
    try {
      await sleep(delay, undefined, { signal: this.closing });
    } catch {
      return reply.hijack();
    }
    return send(reply, perform(this.world.settle()));
  }

  #errorPage(
    reply: FastifyReply,
    status: number,
    body: 'html' | 'json' | 'empty',
    inJson: () => FastifyReply,
  ): FastifyReply {
    switch (body) {
      case 'html':
        return reply.code(status).type('text/html; charset=utf-8').send(HTML);
      case 'empty':
        return reply.code(status).send('');
      case 'json':
        return inJson();
    }
  }

  #reset(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    this.world.truthBook.cancelAnswered(request.id, { kind: 'reset', status: null, contentType: null, state: null });
    reply.hijack();
    request.raw.socket.resetAndDestroy();
    return reply;
  }

  /** Promises the whole body, sends half of it, and hangs up. */
  #cutOff(request: FastifyRequest, reply: FastifyReply, { status, body }: Answer): FastifyReply {
    const text = JSON.stringify(body);
    const contentType = 'application/json';
    this.world.truthBook.cancelAnswered(request.id, { kind: 'truncated', status, contentType, state: null });
    reply.hijack();
    reply.raw.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) });
    reply.raw.write(firstHalf(text), () => request.raw.socket.destroy());
    return reply;
  }

  #cutJson(reply: FastifyReply, { status, body }: Answer): FastifyReply {
    return reply
      .code(status)
      .type('application/json')
      .send(firstHalf(JSON.stringify(body)));
  }

  #deformed(answer: Answer, form: readonly FormFault[]): Answer {
    const body = answer.body as { session?: WireSession; sessions?: WireSession[] };
    if (body.sessions !== undefined) {
      const sessions = body.sessions.map((item) =>
        deform(item, [...form, ...this.world.faults.strikeItem(String(item['id']))]),
      );
      return { ...answer, body: { ...body, sessions } };
    }
    if (body.session !== undefined && form.length > 0) {
      return { ...answer, body: { ...body, session: deform(body.session, form) } };
    }
    return answer;
  }
}

function send(reply: FastifyReply, { status, body, headers = {} }: Answer): FastifyReply {
  return reply.code(status).headers(headers).type('application/json; charset=utf-8').send(JSON.stringify(body));
}

const firstHalf = (text: string): string => text.slice(0, Math.floor(text.length / 2));

function retryAfter(
  fault: { retryAfterSeconds: number | null; retryAfterForm: 'seconds' | 'http-date' },
  now: number,
): Record<string, string> {
  const { retryAfterSeconds: seconds } = fault;
  if (seconds === null) return {};
  const asDate = fault.retryAfterForm === 'http-date';
  return { 'retry-after': asDate ? new Date(now + seconds * 1_000).toUTCString() : String(seconds) };
}
