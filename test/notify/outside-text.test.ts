import { describe, expect, it } from '@jest/globals';
import type { Item } from '../../src/adapters/ledger/deliveries.js';
import { TOLD_EVENTS, TOLD_OUTCOMES, type ToldKind } from '../../src/core/told.js';
import { noticeOf } from '../../src/engines/notify/notice.js';
import { slackMessage, slackSummary, slackTest, type SlackMessage } from '../../src/engines/notify/slack.js';
import { webhookMessage } from '../../src/engines/notify/webhook.js';
import { anItem, anOrder } from './items.js';

/** Ends its line, formats, paints, turns the reading direction, hides a character, ends a text in C, has half a character. */
const EVIL = 'evil`*x*\u001b[31m\nline2\u202Egnp\u0085\u200B\u009B1A\u0000\ud800<!channel>';
/** As long as the vendor may send it. */
const LONG = `${EVIL}${'z'.repeat(10_000)}`;
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/u;

/** Every text that an event carries, all of them hostile. */
const KEYS = [
  ...[
    'policy',
    'mode',
    'turnKey',
    'agentId',
    'agentName',
    'limit',
    'text',
    'graceUntil',
    'breaker',
    'on',
    'code',
    'state',
  ],
  ...['why', 'plan', 'by', 'message', 'problem', 'since', 'cleanup', 'triggerId', 'reason', 'cap'],
];
const hostile = (kind: ToldKind, text: string, schedule: boolean): Item => ({
  ...anItem(
    kind,
    {
      ...Object.fromEntries(KEYS.map((key) => [key, text])),
      ...(schedule ? { why: 'schedule-refused' } : {}),
      status: 403,
      byStatus: { [text]: 3 },
    },
    anOrder({
      id: text,
      agentId: text,
      turnKey: text,
      requestedBy: text,
      reason: { text, policy: text, policyVersion: 1, limit: { name: text }, observed: null },
    }),
  ),
  sessionId: text,
});
const slackTexts = ({ text, blocks }: SlackMessage): string[] => [text, ...blocks.map((block) => block.text.text)];

describe.each([...TOLD_EVENTS, ...TOLD_OUTCOMES])('a notice %s, every text of which others chose', (kind) => {
  const items = [EVIL, LONG].flatMap((text) => [hostile(kind, text, false), hostile(kind, text, true)]);

  it('has one line for each of its own, without signs that steer', () => {
    for (const item of items) {
      const { title, lines, remedies } = noticeOf(item);
      for (const line of [title, ...lines, ...remedies.map(({ purpose }) => purpose)]) {
        expect(line).not.toMatch(UNSAFE);
        expect(line.length).toBeLessThan(3_000);
      }
      // An id that was cut would be another one.
      for (const { command } of remedies) expect(command ?? '').not.toMatch(UNSAFE);
    }
  });

  it('opens no format, mention or line of its own in Slack', () => {
    for (const item of items) {
      const notices = [noticeOf(item)];
      for (const text of [...slackTexts(slackMessage(notices)), ...slackTexts(slackSummary(notices))]) {
        expect(text.replaceAll('\n', '')).not.toMatch(UNSAFE);
        expect(text).not.toMatch(/^line2/m);
        expect(text).not.toContain('<!channel>');
        expect(text.length).toBeLessThanOrEqual(3_000);
        // Names stand in backticks, in pairs, unless Slack's own limit cut one off.
        const odd = text.split('\n').filter((line) => (line.match(/`/g) ?? []).length % 2 === 1);
        if (!text.endsWith('…')) expect(odd).toEqual([]);
      }
    }
  });

  it('is readable on a terminal as a webhook’s body', () => {
    for (const item of items)
      expect(webhookMessage('ops', [noticeOf(item)]).body).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });
});

it('the test of a route names it in one line', () => {
  for (const text of slackTexts(slackTest(EVIL))) expect(text.replaceAll('\n', '')).not.toMatch(UNSAFE);
});
