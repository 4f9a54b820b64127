import { describe, expect, it } from '@jest/globals';
import type { Item } from '../../src/adapters/ledger/deliveries.js';
import { fits, lookAhead, MOST_ITEMS, nextBatch } from '../../src/engines/notify/batch.js';
import { noticeOf } from '../../src/engines/notify/notice.js';
import {
  slackMessage,
  slackSummary,
  slackTest,
  SUMMARY_MOST,
  SUMMARY_OVER,
  type SlackMessage,
} from '../../src/engines/notify/slack.js';
import { aFleetItem, anItem, anOrder, VERDICT } from './items.js';

const many = (count: number, item: (index: number) => Item = () => anItem('warned', VERDICT)): Item[] =>
  Array.from({ length: count }, (_, index) => ({ ...item(index), key: `event/${index}` }));
const textsOf = ({ blocks }: SlackMessage): string[] => blocks.map(({ text }) => text.text);
const SLACK = { slack: { urlFile: '/run/secrets/slack' } };
const WEBHOOK = { webhook: { url: 'https://example.com/hook', secretFile: '/run/secrets/hook' } };

/** The limits that Slack documents for blocks and their texts. */
function expectWithinLimits(message: SlackMessage): void {
  expect(message.blocks.length).toBeLessThanOrEqual(50);
  expect(message.blocks.length).toBeGreaterThan(0);
  for (const text of [message.text, ...textsOf(message)]) {
    expect(text.length).toBeGreaterThan(0);
    expect(text.length).toBeLessThanOrEqual(3_000);
  }
}

describe('a message to Slack', () => {
  it('is a section of text that a person can read', () => {
    const notice = noticeOf(anItem('warned', VERDICT));
    expect(slackMessage([notice])).toEqual({
      text: 'Curfew: Warning. Session `sess_1` of agent `support-bot`: has run 36m, limit 45m (+10s).',
      blocks: [
        {
          type: 'section',
          text: {
            type: 'mrkdwn',
            verbatim: true,
            text: [
              '⚠️ *Warning* · 2026-01-05 12:47:15 UTC',
              'Session `sess_1` of agent `support-bot`: has run 36m, limit 45m (+10s).',
              'Rule `no-all-nighters`, version 3, limit `max_runtime`.',
              'At the limit its turn will be ended.',
              'Let it run on: `curfew exempt sess_1 --for 2h --reason "why it may"`',
              'See why: `curfew explain sess_1`',
            ].join('\n'),
          },
        },
      ],
    });
  });

  it('marks what wants a person now', () => {
    expect(textsOf(slackMessage([noticeOf(aFleetItem('account-refused'))]))[0]).toMatch(/^🚨 \*Key refused\*/);
  });

  it('escapes what would be a link or a mention, wherever it comes from', () => {
    const evil = '<!channel> & <https://evil.example|click>';
    const items = [
      anItem('warned', { ...VERDICT, agentName: evil, text: evil }),
      aFleetItem('account-refused', { status: 401, message: evil }),
      aFleetItem('coverage-lost', { problem: evil }),
      { ...anItem('not-ending', {}, anOrder({ agentId: evil })), sessionId: evil },
    ];
    const notices = items.map(noticeOf);
    for (const message of [slackMessage(notices), slackSummary(notices)]) {
      const all = [message.text, ...textsOf(message)].join('\n');
      expect(all).not.toMatch(/[<>]|&(?!amp;|lt;|gt;)/);
    }
    expect(textsOf(slackMessage(notices))[0]).toContain('&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;');
  });

  it('keeps within the limits of Slack, however long the names, and cuts no entity in two', () => {
    const long = anItem('not-ending', {}, anOrder({ agentId: '&'.repeat(5_000) }));
    const reason = { text: '&'.repeat(5_000), policy: 'p', policyVersion: 1, limit: null, observed: null };
    const items = many(MOST_ITEMS, (shift) => ({
      ...long,
      sessionId: 'x'.repeat(shift) + '&'.repeat(200),
      order: anOrder({ agentId: '&'.repeat(5_000), requestedBy: '&'.repeat(500), reason }),
    }));
    const message = slackMessage(items.map(noticeOf));
    expectWithinLimits(message);
    expect(textsOf(message).some((text) => text.endsWith('…'))).toBe(true);
    for (const text of textsOf(message)) expect(text).not.toMatch(/&(?!amp;|lt;|gt;)/);
    expectWithinLimits(slackSummary(many(SUMMARY_MOST, () => items[0] ?? long).map(noticeOf)));
    expectWithinLimits(slackTest('ops'));
  });

  it('sums up a flood by kind and policy, with the alerts before the rest', () => {
    const items = many(150, (index) =>
      index === 140
        ? aFleetItem('account-refused', { status: 401 })
        : anItem('would-end', { ...VERDICT, policy: index % 3 === 0 ? 'queue' : 'no-all-nighters' }),
    );
    const texts = textsOf(slackSummary(items.map(noticeOf)));
    expect(texts[0]?.split('\n')).toEqual([
      '🚨 *150 notices, 1 of them an alert*',
      '• 99 × Would end, rule `no-all-nighters`',
      '• 50 × Would end, rule `queue`',
      '• 1 × Key refused',
    ]);
    expect(texts[1]).toMatch(/^🚨 Key refused\. The vendor refuses our key/);
    expect(texts).toHaveLength(12);
    expect(texts.at(-1)).toContain('`curfew history`');
  });
});

describe('the cut into messages', () => {
  it('puts up to twenty items into one, oldest first', () => {
    expect(nextBatch(SLACK, many(60)).map(({ key }) => key)).toEqual(many(20).map(({ key }) => key));
    expect(nextBatch(SLACK, many(SUMMARY_OVER))).toHaveLength(MOST_ITEMS);
    expect(nextBatch(SLACK, many(3))).toHaveLength(3);
  });

  it('sums up more than a hundred for Slack, and never for programs', () => {
    expect(nextBatch(SLACK, many(SUMMARY_OVER + 1))).toHaveLength(SUMMARY_OVER + 1);
    expect(nextBatch(SLACK, many(lookAhead(SLACK)))).toHaveLength(SUMMARY_MOST);
    expect(nextBatch(WEBHOOK, many(lookAhead(WEBHOOK)))).toHaveLength(MOST_ITEMS);
  });

  it('takes up only such a message again as it would have cut itself', () => {
    expect([1, 20, 101, 1_000].map((count) => fits(SLACK, count))).toEqual([true, true, true, true]);
    expect([1, 20, 101].map((count) => fits(WEBHOOK, count))).toEqual([true, true, false]);
  });
});
