import type { Command } from 'commander';
import { commandNamed, declareCommands, type DeclaredCommand } from '../lazy-commands.js';

const COMMANDS: readonly DeclaredCommand[] = [
  {
    usage: 'check <file>',
    summary: 'find all problems in a policy file, and say what it means',
    load: async () => (await import('./policy-check.js')).registerPolicyCheck,
  },
  {
    usage: 'plan <file>',
    summary: 'show what a policy file would end now and next; ends and changes nothing',
    load: async () => (await import('./policy-plan.js')).registerPolicyPlan,
  },
  {
    usage: 'apply <file>',
    summary: 'put a policy file in force',
    load: async () => (await import('./policy-apply.js')).registerPolicyApply,
  },
  {
    usage: 'resume <name>',
    summary: 'close the breaker of a policy that went over its caps',
    load: async () => (await import('./policy-resume.js')).registerPolicyResume,
  },
  {
    usage: 'schema',
    summary: 'print the JSON Schema of policy files, for editors',
    load: async () => (await import('./policy-check.js')).registerPolicyCheck,
  },
];

export function registerPolicy(program: Command): void {
  const policy = commandNamed(program, 'policy').description(
    'Policies say which sessions have which limits, and what happens to a turn over one. check says what a file means, plan what it would do now, and apply puts it in force. Format: docs/policies.md',
  );
  declareCommands(policy, COMMANDS);
}
