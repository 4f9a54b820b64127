import type { RuleVerdict } from '../../src/engines/cases/rules.js';
import type { OpenOrder } from '../../src/adapters/ledger/orders.js';

/** What a rule may say at the gate, in a word. `capped`: it would send, but its caps leave no room. */
export type RuleWord = Exclude<RuleVerdict['kind'], 'send'> | 'send' | 'capped';

/** The verdict that a policy in force would give. */
export function verdictOf(word: RuleWord, { policy, reason }: Pick<OpenOrder, 'policy' | 'reason'>): RuleVerdict {
  switch (word) {
    case 'send':
    case 'capped': {
      const caps = { maxCancels: word === 'capped' ? 0 : 100, maxPercent: 100, perMs: 3_600_000 };
      return { kind: 'send', permit: { policy: policy ?? '', caps, liveSessions: null }, reason };
    }
    case 'no-longer-violating':
      return { kind: 'no-longer-violating' };
    case 'unknown':
      return { kind: 'unknown', why: `Nothing is known of "${policy}"` };
  }
}
