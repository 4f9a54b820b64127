import type { NotifyRoute } from '../../core/policy/policy.js';
import type { Notice } from './notice.js';
import { post, type Reception } from './post.js';
import { readSigningSecret, readSlackUrl } from './secrets.js';
import { slackMessage, slackSummary, slackTest, SUMMARY_OVER, type SlackMessage } from './slack.js';
import { signedHeaders, webhookMessage, webhookTest, type WebhookMessage } from './webhook.js';

/** How a message fared; `unusable`: its secret can't be read, so nothing was sent. */
export type Sent = Reception | { readonly kind: 'unusable'; readonly why: string };

/** What a route is told: the same for the same notices, or a test. */
type Content = { readonly notices: readonly Notice[] } | { readonly testAtMs: number };

/** Sends one message about these notices. Never rejects. */
export const sendNotices = (name: string, route: NotifyRoute, notices: readonly Notice[]): Promise<Sent> =>
  send(name, route, { notices });

/** Sends a message that says that nothing happened. */
export const sendTest = (name: string, route: NotifyRoute): Promise<Sent> =>
  send(name, route, { testAtMs: Date.now() });

async function send(name: string, route: NotifyRoute, content: Content): Promise<Sent> {
  if ('slack' in route) {
    const url = await readSlackUrl(route.slack.urlFile);
    if ('problem' in url) return { kind: 'unusable', why: url.problem };
    return post(url.value, JSON.stringify(slackContent(name, content)));
  }
  const secret = await readSigningSecret(route.webhook.secretFile);
  if ('problem' in secret) return { kind: 'unusable', why: secret.problem };
  const message = webhookContent(name, content);
  return post(route.webhook.url, message.body, signedHeaders(secret.value, message, Date.now()));
}

function slackContent(name: string, content: Content): SlackMessage {
  if ('testAtMs' in content) return slackTest(name);
  return content.notices.length > SUMMARY_OVER ? slackSummary(content.notices) : slackMessage(content.notices);
}

const webhookContent = (name: string, content: Content): WebhookMessage =>
  'testAtMs' in content ? webhookTest(name, content.testAtMs) : webhookMessage(name, content.notices);
