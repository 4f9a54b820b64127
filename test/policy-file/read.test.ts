import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { PolicyFileError } from '../../src/core/policy-file/index.js';
import { fileWith, line, NOW, problems, read, refusal } from './support.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const EVERYTHING = `
version: 1
policies:
  - name: no-all-nighters
    match:
      all:
        - agents: ["support-*"]
        - any: [{ teams: [team_a] }, { creators: ["*@example.com"] }]
        - not: { creators: ["oncall@example.com"] }
    limits:
      max_runtime: 45m
      max_continuous_runtime: 3h
      max_queue_time: 20m
      max_credits: 500
      max_session_credits: 5k
      max_tokens: 2M
    warn_at: 80%
    grace: 2m
    mode: enforce
    caps: { max_cancels: 20, max_percent: 25, per: 1h30m }
    notify: [ops, audit, ops]
    on_restart: { cancel: { max: 3 } }
cleanup:
  - name: stale-queue
    select:
      match: { teams: [team_a] }
      states: [queued, processing, queued]
      queued_for: 6h
      running_for: 1d
    schedule: { cron: "0 3 * * *", timezone: Europe/Berlin }
    caps: { max_cancels: 5 }
notify:
  ops: { slack: { url_file: /run/secrets/slack } }
  audit: { webhook: { url: "https://example.com/hook", secret_file: /run/secrets/hook } }
exempt:
  - { session: sess_1, until: 2026-12-01T01:00:00+01:00, reason: Month-end close }
`;

describe('a policy file', () => {
  it('is read with units resolved', () => {
    const { file, warnings } = read(EVERYTHING);
    expect(warnings).toEqual([]);
    expect(file).toEqual({
      version: 1,
      policies: [
        {
          name: 'no-all-nighters',
          match: {
            all: [
              { agents: ['support-*'] },
              { any: [{ teams: ['team_a'] }, { creators: ['*@example.com'] }] },
              { not: { creators: ['oncall@example.com'] } },
            ],
          },
          limits: {
            max_runtime: 2_700_000,
            max_continuous_runtime: 3 * HOUR,
            max_queue_time: 1_200_000,
            max_credits: 500,
            max_session_credits: 5_000,
            max_tokens: 2_000_000,
          },
          warnAt: 0.8,
          graceMs: 120_000,
          mode: 'enforce',
          caps: { maxCancels: 20, maxPercent: 25, perMs: 1.5 * HOUR },
          notify: ['ops', 'audit'],
          onRestart: { action: 'cancel', max: 3 },
        },
      ],
      cleanup: [
        {
          name: 'stale-queue',
          select: {
            match: { teams: ['team_a'] },
            states: ['queued', 'processing'],
            queuedForMs: 6 * HOUR,
            runningForMs: DAY,
          },
          schedule: { cron: '0 3 * * *', timezone: 'Europe/Berlin' },
          caps: { maxCancels: 5, maxPercent: 50, perMs: HOUR },
        },
      ],
      notify: {
        ops: { slack: { urlFile: '/run/secrets/slack' } },
        audit: { webhook: { url: 'https://example.com/hook', secretFile: '/run/secrets/hook' } },
      },
      exempt: [{ sessionId: 'sess_1', untilMs: Date.UTC(2026, 11, 1), reason: 'Month-end close' }],
    });
  });

  it('observes, with moderate caps, unless it says otherwise', () => {
    expect(read(fileWith({})).file).toEqual({
      version: 1,
      policies: [
        {
          name: 'a-policy',
          match: { agents: ['*'] },
          limits: {
            max_runtime: 2_700_000,
            max_continuous_runtime: null,
            max_queue_time: null,
            max_credits: null,
            max_session_credits: null,
            max_tokens: null,
          },
          warnAt: null,
          graceMs: 0,
          mode: 'observe',
          caps: { maxCancels: 50, maxPercent: 50, perMs: HOUR },
          notify: [],
          onRestart: { action: 'report' },
        },
      ],
      cleanup: [],
      notify: {},
      exempt: [],
    });
  });

  it('may hold cleanups alone, which run in UTC and on all agents unless they say otherwise', () => {
    const { file } = read(`
version: 1
cleanup:
  - name: stale-queue
    select: { states: [queued], queued_for: 6h }
    schedule: { cron: "0 3 * * *" }
`);
    expect(file.policies).toEqual([]);
    expect(file.cleanup[0]).toMatchObject({
      select: { match: null, runningForMs: null },
      schedule: { timezone: 'UTC' },
    });
  });

  it('may be switched off without being taken apart', () => {
    const text = fileWith({ more: 'mode: off\n    caps: { max_cancels: 1 }' });
    expect(read(text).file.policies[0]).toMatchObject({ mode: 'off', caps: { maxCancels: 1 } });
  });

  it('may be JSON, and have Windows line ends and a byte order mark', () => {
    const json = { version: 1, policies: [{ name: 'a', match: { agents: ['*'] }, limits: { max_credits: 1 } }] };
    expect(read(JSON.stringify(json)).file.policies).toHaveLength(1);
    expect(read(`\uFEFF${fileWith({}).replaceAll('\n', '\r\n')}`).file.policies).toHaveLength(1);
  });

  it('may use an alias for a whole value', () => {
    const { file } = read(`
version: 1
policies:
  - { name: a, match: &team { teams: [team_a] }, limits: { max_runtime: 1h } }
  - { name: b, match: *team, limits: { max_credits: 5 } }
`);
    expect(file.policies.map(({ match }) => match)).toEqual([{ teams: ['team_a'] }, { teams: ['team_a'] }]);
  });

  it('tells a mistake behind an alias once, where it is written', () => {
    const found = problems(`
version: 1
policies:
  - { name: a, match: &team { team: [team_a] }, limits: { max_runtime: 1h } }
  - { name: b, match: *team, limits: { max_credits: 5 } }
`);
    expect(found.map(line)).toEqual(['4: team is not known here | Did you mean teams?']);
  });
});

describe('an error about a policy file', () => {
  const text = `version: 1
policies:
  - name: a
    match: { agents: ["*"] }
    limits: { max_runtime: 45, max_runtim: 3h }
    mode: enforced
`;

  it('holds all problems at once, by line and column', () => {
    const error = refusal(text);
    expect(error.problems).toEqual([
      {
        file: 'curfew.yaml',
        line: 5,
        column: 28,
        path: 'policies[0].limits.max_runtime',
        message: 'max_runtime is 45, which has no unit',
        suggestion: 'Did you mean 45m? Units are s, m, h and d.',
      },
      {
        file: 'curfew.yaml',
        line: 5,
        column: 32,
        path: 'policies[0].limits.max_runtim',
        message: 'max_runtim is not known here',
        suggestion: 'Did you mean max_runtime?',
      },
      {
        file: 'curfew.yaml',
        line: 6,
        column: 11,
        path: 'policies[0].mode',
        message: 'mode is "enforced", which is not one of off, observe, enforce',
        suggestion: 'Did you mean enforce?',
      },
    ]);
  });

  it('says that nothing was changed, each place as editors link it, and what to do', () => {
    const { message, next, exitCode } = refusal(text);
    expect(message).toMatch(
      /^curfew\.yaml has 3 problems\. No policy was changed\.\ncurfew\.yaml:5:28: max_runtime is 45/,
    );
    expect(next).toContain('curfew policy check curfew.yaml');
    expect(exitCode).toBe(2);
  });

  it('repeats no secret that stands where the path of a file belongs, nor any address', () => {
    const secret = 'hunter2';
    const forms = [
      `slack: https://hooks.example.com/${secret}`,
      `slack: { url: "https://hooks.example.com/${secret}" }`,
      `slack: { url_file: "https://hooks.example.com/${secret}" }`,
      `slack: { url_file: ${secret} }`,
      `slack: { url_file: [${secret}] }`,
      `webhook: { url: "http://example.com/${secret}", secret_file: /s }`,
      `webhook: { url: "https://user:${secret}@example.com", secret_file: /s }`,
      `webhook: { url: "${secret}", secret_file: /s }`,
      `webhook: { url: "https://example.com/#${secret}", secret_file: /s }`,
      `webhook: { url: "https://example.com/", secret_file: ${secret} }`,
      `webhook: { url: "https://example.com/", secret: ${secret} }`,
      `webhook: { url: ${secret}: x }`,
      `webhook: [${secret}]`,
      secret,
    ];
    for (const form of forms) {
      const error = refusal(`${fileWith({})}notify:\n  ops: { ${form} }\n`);
      expect(JSON.stringify([error.message, error.next, error.problems])).not.toContain(secret);
    }
  });

  it('is all that a damaged file leads to, with every place inside the text', () => {
    const example = readFileSync(new URL('../../examples/policies/team-budgets.yaml', import.meta.url), 'utf8');
    const piece = fc.constantFrom(
      '',
      ' ',
      '\n',
      '\t',
      ':',
      '-',
      '[',
      ']',
      '{',
      '}',
      '*',
      '&a',
      '"',
      '!',
      '|',
      '45',
      'null',
      '__proto__: 1',
      '<<: ',
      '\0',
      '…',
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(example.length), fc.nat(4), piece), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const damaged = changes.reduce(
            (text, [at, cut, more]) => text.slice(0, at) + more + text.slice(at + cut),
            example,
          );
          try {
            read(damaged);
          } catch (error) {
            if (!(error instanceof PolicyFileError)) throw error;
            expect(error.problems.length).toBeGreaterThan(0);
            const lines = damaged.split('\n').length;
            for (const problem of error.problems) {
              expect(problem.line).toBeGreaterThanOrEqual(1);
              expect(problem.line).toBeLessThanOrEqual(lines);
              expect(problem.column).toBeGreaterThanOrEqual(1);
            }
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('warnings about a policy file', () => {
  const warningsOf = (text: string) => read(text).warnings.map(line);

  it('name limits that another one makes pointless', () => {
    expect(warningsOf(fileWith({ limits: '{ max_credits: 1M, max_session_credits: 500k }' }))).toEqual([
      expect.stringMatching(/^5: max_credits is never reached: max_session_credits counts this turn too/),
    ]);
    expect(warningsOf(fileWith({ limits: '{ max_runtime: 3h, max_continuous_runtime: 45m }' }))).toEqual([
      expect.stringMatching(/^5: max_runtime is not below max_continuous_runtime/),
    ]);
    expect(
      warningsOf(
        fileWith({ limits: '{ max_credits: 1, max_session_credits: 2, max_runtime: 1h, max_continuous_runtime: 2h }' }),
      ),
    ).toEqual([]);
  });

  it('name signs that other globs know', () => {
    expect(warningsOf(fileWith({ match: '{ agents: ["support-{eu,us}"] }' }))).toEqual([
      expect.stringMatching(/^4: only \* and \? are special; in "support-\{eu,us\}"/),
    ]);
    expect(
      warningsOf(fileWith({ match: '{ any: [{ agents: ["!x"] }, { not: { agents: ["x[a-z]"] } }] }' })),
    ).toHaveLength(2);
    expect(warningsOf(fileWith({ match: '{ teams: ["team_*"] }' }))).toEqual([
      expect.stringMatching(/^4: teams are compared exactly/),
    ]);
    expect(warningsOf(fileWith({ match: '{ agents: ["[Prod] Bot", "a-b"] }' }))).toEqual([]);
  });

  it('name exemptions that are over', () => {
    const exempt = (until: string) =>
      `${fileWith({})}exempt:\n  - session: sess_1\n    until: ${until}\n    reason: x\n`;
    expect(warningsOf(exempt(new Date(NOW).toISOString()))).toEqual([
      '9: this exemption is over, and has no effect | Remove it, or give it a later time.',
    ]);
    expect(warningsOf(exempt(new Date(NOW + 1).toISOString()))).toEqual([]);
  });

  it('name cleanups that end young sessions, or on fewer days than meant', () => {
    const cleanup = (select: string, cron: string) =>
      `version: 1\ncleanup:\n  - name: a\n    select: ${select}\n    schedule: { cron: "${cron}" }\n`;
    expect(warningsOf(cleanup('{ states: [queued] }', '0 3 * * *'))).toEqual([
      '4: every queued session is ended, however young | Add queued_for, for example queued_for: 6h.',
    ]);
    expect(warningsOf(cleanup('{ states: [queued, processing], queued_for: 6h }', '0 3 1 * MON'))).toEqual([
      '4: every processing session is ended, however young | Add running_for, for example running_for: 6h.',
      expect.stringMatching(/^5: both the day of the month and the day of the week are given/),
    ]);
  });

  it('name cleanups that are due when a clock is set back', () => {
    const cleanup = (cron: string, timezone: string) =>
      `version: 1\ncleanup:\n  - name: a\n    select: { states: [queued], queued_for: 6h }\n    schedule: { cron: "${cron}", timezone: ${timezone} }\n`;
    expect(warningsOf(cleanup('30 1 1-7 11 *', 'America/New_York'))).toEqual([
      expect.stringMatching(
        /^5: on 20\d\d-11-0\d the clock in America\/New_York goes back from 02:00 to 01:00: what is due at 01:30 runs twice \| Choose times outside 01:00 to 02:00, or timezone: UTC\.$/,
      ),
    ]);
    expect(warningsOf(cleanup('15 2 * * *', 'Europe/Berlin'))).toEqual([
      expect.stringMatching(
        /^5: on 20\d\d-10-\d\d the clock in Europe\/Berlin goes back from 03:00 to 02:00: what is due at 02:15 may run twice, late or not at all \| Choose times outside 01:00 to 03:00, or timezone: UTC\.$/,
      ),
    ]);
    expect(warningsOf(cleanup('15 3 * * *', 'Europe/Berlin'))).toEqual([]);
    expect(warningsOf(cleanup('*/30 * * * *', 'Europe/Berlin'))).toEqual([]);
  });

  it('name lists of which one must hold an id and the other a name', () => {
    expect(warningsOf(fileWith({ match: '{ all: [{ agents: [agent_1] }, { agents: [triage] }] }' }))).toEqual([
      expect.stringMatching(/one as the id and the other as the name/),
    ]);
  });

  it('come with the problems of a file that is refused', () => {
    const error = refusal(fileWith({ limits: '{ max_credits: 2, max_session_credits: 1, max_runtime: 45 }' }));
    expect(error.problems).toHaveLength(1);
    expect(error.warnings).toEqual([]);
    const other = refusal(fileWith({ limits: '{ max_credits: 2, max_session_credits: 1 }', more: 'mode: on' }));
    expect(other.warnings).toHaveLength(1);
  });
});
