import * as z from 'zod';
import { duration, durationOr } from './duration.js';

/** Operations of the API, as faults and counts name them. `queue` is all that is under `/queue`. */
export const OPERATIONS = [
  'teams',
  'agents',
  'list',
  'create',
  'retrieve',
  'send',
  'cancel',
  'queue',
  'approvals',
  'triggers',
] as const;
export type Operation = (typeof OPERATIONS)[number];

const on = z.enum([...OPERATIONS, 'any']);
const onCancel = z.literal('cancel');

/** How often a fault strikes, and how likely it is each time. */
const strikes = {
  times: z.union([z.int().positive(), z.literal('forever')]).default(1),
  probability: z.number().gt(0).max(1).default(1),
};
const anywhere = { on: on.default('any'), ...strikes };
const atCancel = { on: onCancel.default('cancel'), ...strikes };
/** Whether the operation is carried out although its answer is spoilt, and how much later than the request. */
const effect = (byDefault: boolean) => ({ effect: z.boolean().default(byDefault), effectAfter: duration.default(0) });
const shape = z.enum(['nested', 'flat']).optional();
const turnEnd = z.enum(['completed', 'failed']);

/** Faults of the answer: the request fails, hangs, comes late, or its answer cannot be used. */
const answerFaults = [
  z.strictObject({ fault: z.literal('pass'), ...anywhere }),
  z.strictObject({ fault: z.literal('failed-to-abort'), ...atCancel, ...effect(false), shape }),
  z.strictObject({
    fault: z.literal('server-error'),
    ...anywhere,
    ...effect(false),
    status: z.int().min(500).max(599).default(503),
    body: z.enum(['html', 'json', 'empty']).default('html'),
  }),
  z.strictObject({
    fault: z.literal('client-error'),
    ...anywhere,
    status: z.int().min(400).max(499).default(403),
    body: z.enum(['html', 'json', 'empty']).default('html'),
    code: z.string().default('permission_denied'),
    retryAfterSeconds: z.int().nonnegative().nullable().default(null),
    shape,
  }),
  z.strictObject({
    fault: z.literal('rate-limited'),
    ...anywhere,
    retryAfterSeconds: z.int().nonnegative().nullable().default(1),
    retryAfterForm: z.enum(['seconds', 'http-date']).default('seconds'),
    shape,
  }),
  z.strictObject({ fault: z.literal('hang'), ...anywhere, ...effect(false) }),
  z.strictObject({ fault: z.literal('reset-before-effect'), ...anywhere }),
  z.strictObject({ fault: z.literal('reset-after-effect'), ...anywhere, effectAfter: duration.default(0) }),
  z.strictObject({ fault: z.literal('html-body'), ...anywhere, ...effect(true) }),
  z.strictObject({
    fault: z.literal('truncated-body'),
    ...anywhere,
    ...effect(true),
    cut: z.enum(['connection', 'json']).default('connection'),
  }),
  z
    .strictObject({
      fault: z.literal('lagging-answer'),
      ...anywhere,
      delay: duration,
      effectAfter: duration.default(0),
    })
    .refine((fault) => fault.effectAfter <= fault.delay, {
      path: ['effectAfter'],
      message: 'the effect must come no later than the answer',
    }),
  z.strictObject({
    fault: z.literal('redirect'),
    ...anywhere,
    location: z.url().default('http://elsewhere.invalid/'),
    status: z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]).default(307),
  }),
  z.strictObject({ fault: z.literal('unauthorized'), ...anywhere, shape }),
  z.strictObject({ fault: z.literal('forbidden-session'), ...anywhere, shape }),
  z.strictObject({
    fault: z.literal('forbidden-account'),
    ...anywhere,
    code: z
      .enum(['tier_required_pro', 'tier_required_enterprise', 'policy_denied', 'feature_restricted'])
      .default('tier_required_pro'),
    shape,
  }),
  z.strictObject({ fault: z.literal('not-found'), ...anywhere, shape }),
  z.strictObject({ fault: z.literal('conflict'), ...anywhere, code: z.string().default('conflict'), shape }),
] as const;

/** Faults of the turn: what the request meets, or does, is not what its sender thinks. */
const turnFaults = [
  z.strictObject({
    fault: z.literal('lagging-effect'),
    ...atCancel,
    answer: turnEnd.default('completed'),
    /** What reads show until the abort becomes visible. */
    readsShow: z.enum(['processing', 'queued', 'completed']).default('completed'),
    visibleAfter: duration.default(1_500),
  }),
  z.strictObject({
    fault: z.literal('accepted-without-effect'),
    ...atCancel,
    answer: z.enum(['failed', 'processing', 'queued', 'completed']).default('failed'),
  }),
  z.strictObject({
    fault: z.literal('new-turn-in-between'),
    on: z.enum(['cancel', 'retrieve']).default('cancel'),
    ...strikes,
    endsAs: turnEnd.default('completed'),
    /** Natural end of the new turn; null: never. */
    runsFor: duration.nullable().default(null),
  }),
  z.strictObject({
    fault: z.literal('turn-ends-in-between'),
    on: z.enum(['cancel', 'retrieve']).default('cancel'),
    ...strikes,
    endsAs: turnEnd.default('completed'),
  }),
  z.strictObject({ fault: z.literal('queue-continuation'), ...atCancel, messages: z.int().min(1).max(20).default(1) }),
] as const;

/** Faults of form: the request works, its answer is well-formed, and odd. Several can meet in one answer. */
const formFaults = [
  z.strictObject({
    fault: z.literal('oversize-body'),
    ...anywhere,
    megabytes: z.number().positive().max(512).default(16),
    /** Before all other messages of the transcript, or behind them. */
    place: z.enum(['before', 'behind']).default('before'),
  }),
  z.strictObject({
    fault: z.literal('padded'),
    ...anywhere,
    kilobytes: z.number().positive().max(65_536).default(16),
    /** Text in one byte a character, text that a client keeps in two, very many small values, or one deep in another. */
    with: z.enum(['text', 'wide-text', 'values', 'depth']).default('text'),
  }),
  z.strictObject({ fault: z.literal('null-state'), ...anywhere }),
  z.strictObject({ fault: z.literal('missing-state'), ...anywhere }),
  z.strictObject({ fault: z.literal('unknown-state'), ...anywhere, state: z.string().default('cancelled') }),
  z.strictObject({ fault: z.literal('zoneless-times'), ...anywhere }),
  z.strictObject({ fault: z.literal('offset-times'), ...anywhere }),
  z.strictObject({ fault: z.literal('missing-usage'), ...anywhere }),
  z.strictObject({ fault: z.literal('null-usage'), ...anywhere }),
  z.strictObject({ fault: z.literal('null-message-times'), ...anywhere }),
  z.strictObject({ fault: z.literal('wrong-session-id'), ...anywhere }),
] as const;

/** A mode rather than a blow: from now on, for a while, reads show the past. */
const staleReads = z.strictObject({
  fault: z.literal('stale-reads'),
  lag: duration,
  lasts: durationOr('forever').default('forever'),
});

export const faultSchema = z.discriminatedUnion('fault', [...answerFaults, ...turnFaults, ...formFaults, staleReads]);

/** A fault as it is written: everything but its name has a default, or nearly. */
export type FaultInput = z.input<typeof faultSchema>;
export type Fault = z.output<typeof faultSchema>;
export type FaultName = Fault['fault'];

export type AnswerFault = z.output<(typeof answerFaults)[number]>;
export type TurnFault = z.output<(typeof turnFaults)[number]>;
export type FormFault = z.output<(typeof formFaults)[number]>;
export type StaleReads = z.output<typeof staleReads>;

const formNames = new Set<FaultName>(formFaults.map((schema) => schema.shape.fault.value));
const turnNames = new Set<FaultName>(turnFaults.map((schema) => schema.shape.fault.value));

export const isFormFault = (fault: Fault): fault is FormFault => formNames.has(fault.fault);
export const isTurnFault = (fault: Fault): fault is TurnFault => turnNames.has(fault.fault);
