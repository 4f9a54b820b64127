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
    usage: 'list',
    summary: 'every version of the policies: when, by whom, from which file',
    load: async () => (await import('./policy-list.js')).registerPolicyList,
  },
  {
    usage: 'show [version]',
    summary: 'the file of a version, as it was put in force',
    load: async () => (await import('./policy-show.js')).registerPolicyShow,
  },
  {
    usage: 'diff [from] [to]',
    summary: 'what changed between two versions, by line and in words',
    load: async () => (await import('./policy-diff.js')).registerPolicyDiff,
  },
  {
    usage: 'rollback [version]',
    summary: 'put the file of an earlier version in force again',
    load: async () => (await import('./policy-rollback.js')).registerPolicyRollback,
  },
  {
    usage: 'schema',
    summary: 'print the JSON Schema of policy files, for editors',
    load: async () => (await import('./policy-check.js')).registerPolicyCheck,
  },
];

export function registerPolicy(program: Command): void {
  const policy = commandNamed(program, 'policy').description(
    'Policies say which sessions have which limits, and what happens to a turn over one. check says what a file means, plan what it would do now, and apply puts it in force. list, show and diff look back at what was in force, and rollback puts an earlier file in force again. Format: docs/policies.md',
  );
  declareCommands(policy, COMMANDS);
}
