import { randomBytes } from 'node:crypto';
import type { Ledger } from '../../src/adapters/ledger/ledger.js';
import type { NotifyRoute, Policy } from '../../src/core/policy/policy.js';

export const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

const POLICY: Policy = {
  name: 'no-all-nighters',
  match: { agents: ['*'] },
  limits: {
    ...{ max_runtime: 2_700_000, max_continuous_runtime: null, max_queue_time: null },
    ...{ max_credits: null, max_session_credits: null, max_tokens: null },
  },
  warnAt: 0.8,
  graceMs: 0,
  mode: 'enforce',
  caps: { maxCancels: 50, maxPercent: 50, perMs: 3_600_000 },
  notify: [],
  onRestart: { action: 'report' },
};

/** Puts one policy in force that tells all of these routes. */
export const putInForce = (ledger: Ledger, notify: Readonly<Record<string, NotifyRoute>>): Promise<unknown> =>
  ledger.policies.apply({
    file: {
      version: 1,
      policies: [{ ...POLICY, notify: Object.keys(notify) }],
      cleanup: [],
      notify,
      exempt: [],
    },
    fileName: 'curfew.yaml',
    sourceText: '',
    by: 'ops@example.com',
  });
