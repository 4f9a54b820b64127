import { describe, expect, it } from '@jest/globals';
import { fileWith, line, problems } from './support.js';

/** A comment behind each line that is wrong: `#! message`. Several with `;;`. Missing keys are told at their mapping. */
function expectMarked(text: string): void {
  const expected = text
    .split('\n')
    .flatMap((content, index) =>
      (content.split('#! ')[1]?.split(' ;; ') ?? []).map((message) => `${index + 1}: ${message}`),
    );
  expect(expected.length).toBeGreaterThan(0);
  expect(problems(text).map(line)).toEqual(expected);
}

describe('every mistake in one file is told at its line', () => {
  it('in policies', () => {
    expectMarked(`
version: 1
polices: [] #! polices is not known here | Did you mean policies?
policies:
  - name: No All Nighters #! name is "No All Nighters", which is not a valid name | Did you mean no-all-nighters?
    match:
      all:
        - agents: ["support-*"]
        - not: { agents: ["*"] } #! this rule can never match: not is in front of a rule that every session matches | Remove not, or name what it leaves out.
        - agent: [x] #! agent is not known here | Did you mean agents?
    limits:
      max_runtime: 45 #! max_runtime is 45, which has no unit | Did you mean 45m? Units are s, m, h and d.
      max_continous_runtime: 3h #! max_continous_runtime is not known here | Did you mean max_continuous_runtime?
      max_queue_time: 20 min #! max_queue_time is "20 min", which is not a valid duration | Did you mean 20m?
      max_credits: -5 #! max_credits is -5, but must be more than 0 | Remove the line for no limit.
      max_session_credits: 0 #! max_session_credits is 0, but must be more than 0 | Remove the line for no limit.
      max_tokens: 2m #! max_tokens is "2m", which is not an amount | Did you mean 2M?
    warn_at: 80 #! warn_at is 80, which is not a percentage | Did you mean 80%?
    grace: 90 #! grace is 90, which has no unit | Did you mean 90m? Units are s, m, h and d.
    mode: enforced #! mode is "enforced", which is not one of off, observe, enforce | Did you mean enforce?
    caps:
      max_cancels: 0 #! max_cancels is 0, but must be a whole number from 1 to 1000000
      max_percent: 125 #! max_percent is 125, but must be over 0 and at most 100 | Write for example 25.
      per: 1s #! per is "1s", which is too short | Write 1m or more.
    notify:
      - opz #! the route "opz" is not defined | Did you mean ops?
      - "" #! notify[1] is empty ;; the route "" is not defined | Defined under notify: ops.
    on_restart:
      cancel: #! max is missing | For example: 3
        maximum: 3 #! maximum is not known here | Known here: max.
    max_credits: 5 #! max_credits is not known here | It belongs under limits.
  - name: b
    match: []  #! match is a list, but must be a mapping | Write it as key: value, each on a line of its own. Keys: all, any, not, agents, creators, teams.
    limits: {} #! limits holds no limit, so the policy could never act | For example: max_runtime: 45m
    on_restart: cancel #! on_restart is "cancel" | Write report, or how many further turns to end at most: { cancel: { max: 3 } }.
  - name: b #! name "b" is taken by policies[1] | Each name may be there once.
    match: { teams: [a], agents: [b] } #! match has 2 of all, any, not, agents, creators, teams, but takes one | To combine rules, list them under all (every one fits) or any (at least one fits).
    limits:
      max_credits: 1M
      mode: off #! mode is not known here | It belongs beside limits, not inside.
    warn_at: #! warn_at has no value | For example: 80%
  - name: c #! limits is missing | For example: limits: { max_runtime: 45m }
    match: { agents: support-* } #! agents is a text, but must be a list | Write a list: agents: ["support-*"]
  - just a text #! policies[4] is a text, but must be a mapping | Write it as key: value, each on a line of its own. Keys: name, match, limits, warn_at, grace, mode, caps, notify, on_restart.
  - limits: #! name is missing | For example: no-all-nighters ;; match is missing | For all sessions: match: { agents: ["*"] }
      max_runtime: 0s #! max_runtime is zero | Write 1s or more.
      max_queue_time: 400d #! max_queue_time is "400d", which is too long | Write 365d or less.
notify:
  ops: { slack: { url_file: /run/secrets/slack } }
`);
  });

  it('in cleanups, routes and exemptions', () => {
    expectMarked(
      `
version: 2 #! version is 2, but this Curfew reads version 1 | Update Curfew, or write the file for version 1.
cleanup:
  - name: stale
    select:
      states: [queud] #! states[0] is "queud", which is not one of queued, processing | Did you mean queued?
      match: { creators: [] } #! creators is an empty list | List at least one, or remove the line.
      queued_for: "6" #! queued_for is "6", which has no unit | Did you mean 6m? Units are s, m, h and d.
    schedule:
      cron: "0 25 * * *" #! cron has "25" for the hour | The hour is 0 to 23; also *, 1-3, 1,3 and */2.
      timezone: europe/berlin #! timezone is "europe/berlin", which is not a time zone | Did you mean Europe/Berlin?
  - name: stale #! name "stale" is taken by cleanup[0] | Each name may be there once.
    select:
      states: [queued]
      running_for: 3h #! running_for can never match: states does not list processing | Add processing to states, or remove running_for.
    schedule: { timezone: UTC } #! cron is missing | For example: 0 3 * * *
    mode: enforce #! mode is not known here | Known here: name, select, schedule, caps.
notify:
  Ops Team: #! the name of a route must be lower-case words with dashes | For example: ops
    slack: { url: x } #! url_file is missing | For example: /run/secrets/slack ;; url is not known here | Did you mean url_file?
  both: #! both has 2 of slack, webhook, but takes one | Give each kind a route of its own.
    slack: { url_file: /run/secrets/slack }
    webhook: { url: "https://example.com/", secret_file: /run/secrets/hook }
  mail: {} #! mail needs one of slack, webhook | Give each kind a route of its own.
  plain:
    webhook:
      url: http://example.com/hook #! url does not use https | Write an address with https, without user name or password: https://example.com/hook.
      secret_file: secrets/hook #! secret_file is not an absolute path | Put the secret into a file that only Curfew can read, and write its absolute path: /run/secrets/hook.
exempt:
  - session: a session #! session is "a session", which can't be a session id | Copy it from \`curfew status\`; it has no globs.
    until: 2026-12-01 #! until is "2026-12-01", without a time of day | Did you mean 2026-12-01T00:00:00Z?
    reason: 5 #! reason is the number 5, but must be a text | Did you mean "5"?
  - session: sess_1
    until: 2026-12-01T10:00:00 #! until is "2026-12-01T10:00:00", without an offset | Did you mean 2026-12-01T10:00:00Z?
    reason: "" #! reason is empty
  - session: sess_1 #! session "sess_1" is taken by exempt[1] | Each session may be there once.
    until: 2026-02-30T10:00:00Z #! until is "2026-02-30T10:00:00Z", which does not exist in any calendar or clock | Write date, time and offset: 2026-12-01T00:00:00Z.
    reason: x
    by: me #! by is not known here | Known here: session, until, reason.
`,
    );
  });
});

describe('broken YAML', () => {
  it.each<[string, string, string]>([
    ['an empty file', '', '1: the file is empty'],
    ['comments alone', '# nothing\n', '1: the file is empty'],
    ['a list', '- a\n', '1: the file is a list, but must be a mapping'],
    ['a text', 'policies\n', '1: the file is a text, but must be a mapping'],
    ['a bracket that stays open', 'version: 1\npolicies: [\n', '3: YAML: '],
    ['a quote that stays open', 'version: 1\npolicies: "\n', '3: YAML: Missing closing "quote'],
    ['a tab', 'version: 1\npolicies:\n\t- name: a\n', '3: a tab is used for indentation | Indent with spaces.'],
    [
      'a bare star',
      'version: 1\npolicies:\n  - match: { agents: [*] }\n',
      '3: YAML: Alias cannot be an empty string | A text that begins with * needs quotes: "*".',
    ],
    ['an unknown alias', 'version: 1\npolicies: *x\n', '2: this alias has no anchor before it'],
    ['a percent sign in front', 'version: 1\npolicies: %x\n', '2: YAML: '],
    ['two documents', 'version: 1\n---\nversion: 1\n', '2: the file holds more than one document'],
    ['a tag', `${fileWith({})}    mode: !x off\n`, '7: YAML: Unresolved tag: !x'],
    [
      'a list that holds itself',
      'version: 1\npolicies: &x [*x]\n',
      '2: more than 40 levels are nested here, or an alias holds itself',
    ],
    ['very deep nesting', `version: 1\npolicies: ${'['.repeat(50)}${']'.repeat(50)}\n`, '2: more than 40 levels'],
    ['nesting that exhausts the parser', `version: 1\npolicies: ${'['.repeat(20_000)}`, '2: too much is nested here'],
    ['a file that is none', `#${'x'.repeat(1_000_000)}`, '1: the file has more than 1,000,000 characters'],
  ])('%s is told with its line', (_what, text, expected) => {
    expect(line(problems(text)[0]!)).toContain(expected);
  });

  it('with aliases of aliases of aliases is refused before it is unfolded', () => {
    const levels = Array.from(
      { length: 12 },
      (_, n) => `k${n + 1}: &k${n + 1} [${Array(9).fill(`*k${n}`).join(', ')}]`,
    );
    const [problem] = problems(`version: 1\nk0: &k0 [x]\n${levels.join('\n')}\n`);
    expect(problem?.message).toBe('aliases repeat too much of this file');
  });

  it('with a key twice is told together with all else', () => {
    const found = problems(`${fileWith({})}    mode: off\n    mode: on\n`).map(line);
    expect(found).toEqual([
      '8: this key is written twice in the same mapping | Remove or rename one of them.',
      expect.stringMatching(/^8: mode is "on", which is not one of/),
    ]);
  });

  it('with a merge key is told what to do instead', () => {
    expect(problems(fileWith({ more: '<<: { mode: off }' })).map(line)).toEqual([
      expect.stringMatching(/^6: << is not known here \| Merging is not supported.* an alias for a whole value works/),
    ]);
  });

  it('of version 1.1, which reads off as false, is told to quote', () => {
    expect(problems(`%YAML 1.1\n---\n${fileWith({ more: 'mode: off' })}`).map(line)).toEqual([
      '8: mode is false, which is not one of off, observe, enforce | Did you mean "off", in quotes?',
    ]);
  });

  it('shows only the first few errors, since what follows is often misread', () => {
    expect(problems(`version: 1\n${'\t- x: [\n'.repeat(100)}`).length).toBeLessThanOrEqual(5);
  });
});

describe('a file without work', () => {
  it.each([['version: 1\n'], ['version: 1\npolicies: []\ncleanup: []\n'], ['version: 1\nexempt: []\n']])(
    'is refused: %j',
    (text) => {
      expect(problems(text).map(({ message }) => message)).toEqual([
        'the file has neither policies nor cleanup, so there is nothing to do',
      ]);
    },
  );

  it('is told the line of what has no value', () => {
    expect(problems('version: 1\n\npolicies:\n').map(line)).toEqual([
      '3: policies has no value | Give it a value, or remove the line.',
    ]);
  });

  it('is told of a missing version', () => {
    expect(problems(fileWith({}).replace('version: 1', '# none')).map(line)).toEqual([
      '2: version is missing | For example: 1',
    ]);
  });
});

describe('routes that nobody defined', () => {
  it('are told with what there is', () => {
    expect(problems(fileWith({ more: 'notify: [pager]' })).map(line)).toEqual([
      '6: the route "pager" is not defined | No route is defined: add one under notify, at the end of the file.',
    ]);
  });
});
