import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';
import { matches, type MatchSubject } from '../../src/core/policy/match.js';
import type { PolicyFile } from '../../src/core/policy/policy.js';
import { policyJsonSchema } from '../../src/core/policy-file/index.js';
import { read } from './support.js';

const folder = new URL('../../examples/policies/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
const textOf = (name: string) => readFileSync(new URL(name, folder), 'utf8');

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A session of which everything is known. */
const session = (more: Partial<MatchSubject> = {}): MatchSubject => ({
  agentId: 'agent_1',
  agentName: 'helper',
  creatorId: 'user_1',
  creatorEmail: 'ada@example.com',
  teamId: 'team_1',
  ...more,
});

/** Names of the policies that a session comes under. */
const under = ({ policies }: PolicyFile, subject: MatchSubject): string[] =>
  policies.filter(({ match }) => matches(match, subject)).map(({ name }) => name);

describe('the example policies', () => {
  it('are five', () => {
    expect(names).toEqual([
      'own-model-keys.yaml',
      'queue-hygiene.yaml',
      'runaway-guard.yaml',
      'strict-ci-agents.yaml',
      'team-budgets.yaml',
    ]);
  });

  it.each(names)('%s is valid without a warning, for Curfew and for editors', (name) => {
    const text = textOf(name);
    expect(read(text).warnings).toEqual([]);
    const ajv = new Ajv({ allErrors: true });
    addFormats.default(ajv);
    const fits = ajv.compile(policyJsonSchema());
    expect([fits(parse(text)), fits.errors]).toEqual([true, null]);
  });

  it.each(names)('%s tells editors where the schema is, and readers what it is for', (name) => {
    const [modeline, , purpose] = textOf(name).split('\n');
    expect(modeline).toBe('# yaml-language-server: $schema=./policy.schema.json');
    expect(purpose).toMatch(/^# [A-Z].{20,}/);
  });
});

describe('docs/policies.md and docs/cleanup.md', () => {
  const blocks = ['policies', 'cleanup'].flatMap((page) => [
    ...readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8').matchAll(/```yaml\n(.*?)```/gs),
  ]);
  const whole = { version: 1, policies: [{ name: 'a', match: { agents: ['*'] }, limits: { max_runtime: '1h' } }] };

  it('shows what is valid', () => {
    const shown = blocks
      .map(([, text]) => parse(text ?? '') as Record<string, unknown> | null)
      .filter((part) => part !== null);
    expect(shown.length).toBeGreaterThan(5);
    for (const part of shown) {
      const inPolicy = 'match' in part || 'caps' in part;
      // Caps want somebody who hears of them, and routes a policy that names them.
      const routes = (part['notify'] as object | undefined) ?? { ops: { slack: { url_file: '/run/secrets/slack' } } };
      const [policy] = whole.policies;
      const policies = [{ ...policy, notify: Object.keys(routes), ...(inPolicy ? part : {}) }];
      const file = { ...whole, notify: routes, policies, ...(inPolicy ? {} : part) };
      const unnamed = inPolicy || 'notify' in part || !('policies' in part);
      expect(read(JSON.stringify(unnamed ? file : part)).warnings).toEqual([]);
    }
  });
});

describe('runaway-guard.yaml', () => {
  const { file } = read(textOf('runaway-guard.yaml'));
  const [policy] = file.policies;

  it('is about every agent that is known', () => {
    expect(under(file, session())).toEqual(['no-all-nighters']);
    expect(under(file, session({ agentName: null, creatorEmail: null, teamId: null }))).toEqual(['no-all-nighters']);
    expect(under(file, session({ agentId: null, agentName: null }))).toEqual([]);
  });

  it('ends nothing before its reader has seen what it would end', () => {
    expect(policy?.mode).toBe('observe');
  });

  it('has a limit that steering messages do not reset, and warns before both', () => {
    expect(policy?.limits).toMatchObject({ max_runtime: 45 * MINUTE, max_continuous_runtime: 3 * HOUR });
    expect(policy).toMatchObject({ warnAt: 0.8, graceMs: 2 * MINUTE, notify: ['ops'] });
  });
});

describe('team-budgets.yaml', () => {
  const { file } = read(textOf('team-budgets.yaml'));

  it('gives each team its own limits', () => {
    expect(under(file, session({ teamId: 'team_research' }))).toEqual(['research-budget']);
    expect(under(file, session({ teamId: 'team_support' }))).toEqual(['support-budget']);
    expect(under(file, session({ teamId: 'team_onboarding' }))).toEqual(['support-budget']);
    expect(under(file, session())).toEqual([]);
    expect(file.policies.map(({ limits }) => [limits.max_credits, limits.max_session_credits])).toEqual([
      [2_000, 20_000],
      [150, 1_500],
    ]);
  });

  it('leaves out the evaluation agents and the people on call', () => {
    expect(under(file, session({ teamId: 'team_research', agentName: 'eval-long-context' }))).toEqual([]);
    expect(under(file, session({ teamId: 'team_support', creatorEmail: 'OnCall@example.com' }))).toEqual([]);
    expect(under(file, session({ teamId: 'team_support', creatorEmail: 'grace@sre.example.com' }))).toEqual([]);
  });

  it('leaves alone a session that might be theirs: creator, agent name or team not known', () => {
    expect(under(file, session({ teamId: 'team_support', creatorEmail: null }))).toEqual([]);
    expect(under(file, session({ teamId: 'team_research', agentName: null }))).toEqual([]);
    expect(under(file, session({ teamId: null }))).toEqual([]);
  });

  it('shows an exemption with its end and its reason', () => {
    expect(file.exempt).toEqual([
      {
        sessionId: 'sess_month_end_close',
        untilMs: Date.UTC(2099, 0, 1),
        reason: 'Month-end close, agreed with finance',
      },
    ]);
  });
});

describe('queue-hygiene.yaml', () => {
  const { file } = read(textOf('queue-hygiene.yaml'));

  it('lets scheduled agents wait, and nobody else', () => {
    expect(under(file, session())).toEqual(['nobody-waits-that-long']);
    expect(under(file, session({ agentName: 'nightly-report' }))).toEqual([]);
    expect(under(file, session({ agentName: 'batch-7' }))).toEqual([]);
  });

  it('looks at waiting alone: no turn that runs is ended by the policy', () => {
    expect(Object.entries(file.policies[0]?.limits ?? {}).filter(([, limit]) => limit !== null)).toEqual([
      ['max_queue_time', 20 * MINUTE],
    ]);
  });

  it('clears old queued turns each night, and stuck ones each week', () => {
    expect(file.cleanup.map(({ select, schedule }) => ({ ...select, ...schedule }))).toEqual([
      {
        match: null,
        states: ['queued'],
        queuedForMs: 6 * HOUR,
        runningForMs: null,
        cron: '0 3 * * *',
        timezone: 'Europe/Berlin',
      },
      {
        match: null,
        states: ['processing'],
        queuedForMs: null,
        runningForMs: DAY,
        cron: '30 4 * * MON',
        timezone: 'Europe/Berlin',
      },
    ]);
  });
});

describe('own-model-keys.yaml', () => {
  const { file } = read(textOf('own-model-keys.yaml'));

  it('counts tokens, not credits, of the agents with own keys', () => {
    expect(under(file, session({ agentName: 'byok-research' }))).toEqual(['token-budget']);
    expect(under(file, session())).toEqual([]);
    expect(file.policies[0]?.limits).toMatchObject({
      max_tokens: 2_000_000,
      max_runtime: 90 * MINUTE,
      max_credits: null,
    });
  });

  it('tells people and a service', () => {
    expect(file.policies[0]?.notify).toEqual(['finance', 'audit']);
    expect(file.notify['audit']).toEqual({
      webhook: { url: 'https://example.com/hooks/curfew', secretFile: '/run/secrets/curfew-hook' },
    });
  });
});

describe('strict-ci-agents.yaml', () => {
  const { file } = read(textOf('strict-ci-agents.yaml'));
  const bot = { creatorEmail: 'ci-bot@example.com' };

  it('is strict with what CI starts, on any agent', () => {
    expect(under(file, session({ ...bot, agentName: 'ci-lint' }))).toEqual(['ci-agents']);
    expect(under(file, session({ ...bot, agentName: 'helper' }))).toEqual(['ci-agents']);
    expect(under(file, session())).toEqual([]);
  });

  it('also looks on when a person tries such an agent', () => {
    expect(under(file, session({ agentName: 'code-reviewer' }))).toEqual(['ci-agents', 'ci-agents-by-hand']);
  });

  it('ends at once, and again what starts by itself', () => {
    expect(file.policies[0]).toMatchObject({ mode: 'enforce', graceMs: 0, onRestart: { action: 'cancel', max: 5 } });
    expect(file.policies[1]?.mode).toBe('observe');
  });
});
