import { createHash } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { printableJson } from '../../core/text/printable.js';
import type { Notice } from './notice.js';
import { iso } from '../../core/times.js';

/** Items of different types in one message. */
const MIXED = 'curfew.batch';
const TEST = 'curfew.test';

/** A message as the Standard Webhooks specification has it, not yet signed. */
export interface WebhookMessage {
  /** The same for the same items, so that a receiver can drop what it has already. */
  readonly id: string;
  readonly body: string;
}

export function webhookMessage(route: string, notices: readonly Notice[]): WebhookMessage {
  const types = new Set(notices.map(({ type }) => type));
  const [only] = types;
  return {
    id: `msg_${fingerprint([route, ...notices.map(({ id, atMs }) => `${id}@${atMs}`)])}`,
    body: printableJson({
      type: types.size === 1 ? only : MIXED,
      // Of the last item, not of the sending: a repeat is the same message to the last byte.
      timestamp: iso(Math.max(...notices.map(({ atMs }) => atMs))),
      data: { route, items: notices.map(payloadOf) },
    }),
  };
}

/** @param nowMs - our clock: two tests are two messages */
export const webhookTest = (route: string, nowMs: number): WebhookMessage => ({
  id: `msg_${fingerprint([route, TEST, String(nowMs)])}`,
  body: JSON.stringify({ type: TEST, timestamp: iso(nowMs), data: { route, items: [] } }),
});

/**
 * Headers of the specification, for this moment: a receiver refuses what was signed long ago.
 *
 * @param secret - `whsec_` and base64
 */
export function signedHeaders(secret: string, { id, body }: WebhookMessage, nowMs: number): Record<string, string> {
  const at = new Date(nowMs);
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(nowMs / 1_000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  };
}

function payloadOf(notice: Notice): Record<string, unknown> {
  const { item, lines, remedies } = notice;
  const { order, data } = item;
  return {
    id: notice.id,
    type: notice.type,
    at: iso(notice.atMs),
    alert: notice.alert,
    title: notice.title,
    text: lines.join('\n'),
    remedies,
    sessionId: item.sessionId,
    agentId: notice.agentId,
    agentName: notice.agentName,
    turnKey: notice.turnKey,
    policy: notice.policy,
    policyVersion: notice.policyVersion,
    order:
      order === null
        ? null
        : {
            id: order.id,
            requestedBy: order.requestedBy,
            reason: order.reason,
            outcome: order.outcome,
            attribution: order.attribution,
            attempts: order.attempts,
            endedAt: order.endedAtMs === null ? null : iso(order.endedAtMs),
          },
    details: data,
  };
}

const fingerprint = (parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
