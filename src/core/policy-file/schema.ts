import * as z from 'zod';
import { DURATION_PATTERN, readDuration } from '../duration.js';
import { readCron } from './cron.js';
import { choice, leaf } from './leaf.js';
import {
  AMOUNT_PATTERN,
  LARGEST_AMOUNT,
  PERCENT_PATTERN,
  readAmount,
  readPercentNumber,
  readShare,
  readWholeNumber,
} from './units.js';
import { readTimeZone } from './time-zone.js';
import {
  LONGEST_NAME,
  NAME_PATTERN,
  readHookUrl,
  readInstant,
  readName,
  readReport,
  readSecretPath,
  readSessionId,
  readText,
  readVersion,
} from './values.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const MOST_ENTRIES = 1_000;
/** The vendor holds at most 20 messages back, each of which can start a session again. */
const MOST_RESTARTS = 20;

/** A mapping that knows all of its keys: a misspelt limit must not pass for no limit. */
const strict = <T extends z.ZodRawShape>(description: string, shape: T) => z.strictObject(shape).meta({ description });

/** A mapping of which exactly one key is written. */
function oneOf<T extends z.ZodRawShape>(description: string, shape: T, suggestion: string) {
  return z
    .strictObject(shape)
    .superRefine((value, context) => {
      const given = Object.values(value).filter((part) => part !== undefined).length;
      if (given === 1) return;
      const choices = Object.keys(shape).join(', ');
      const message = given === 0 ? `needs one of ${choices}` : `has ${given} of ${choices}, but takes one`;
      context.addIssue({ code: 'custom', message, params: { suggestion } });
    })
    .meta({ description, minProperties: 1, maxProperties: 1 });
}

const list = <T extends z.ZodType>(item: T, description: string) =>
  z.array(item).min(1).max(MOST_ENTRIES).meta({ description });

const name = (description: string) =>
  leaf(readName, {
    type: 'string',
    pattern: NAME_PATTERN,
    maxLength: LONGEST_NAME,
    description,
    examples: ['no-all-nighters'],
  });

const duration = (description: string, example: string, least = SECOND) =>
  leaf((value) => readDuration(value, { least }), {
    type: 'string',
    pattern: DURATION_PATTERN,
    description: `${description} Numbers with s, m, h or d: 45m, 1h30m, 1.5h, 2d.`,
    examples: [example],
  });

const amount = (description: string, example: string | number, whole: boolean) =>
  leaf((value) => readAmount(value, whole), {
    anyOf: [
      { type: 'number', exclusiveMinimum: 0, maximum: LARGEST_AMOUNT },
      { type: 'string', pattern: AMOUNT_PATTERN },
    ],
    description: `${description} A number, or one with k (thousand) or M (million).`,
    examples: [example],
  });

const text = (description: string, example: string) =>
  leaf(readText, { type: 'string', minLength: 1, maxLength: 200, description, examples: [example] });

/** Which sessions, as written. Exactly one of the keys. */
export interface WrittenMatch {
  readonly all?: readonly WrittenMatch[] | undefined;
  readonly any?: readonly WrittenMatch[] | undefined;
  readonly not?: WrittenMatch | undefined;
  readonly agents?: readonly string[] | undefined;
  readonly creators?: readonly string[] | undefined;
  readonly teams?: readonly string[] | undefined;
}

export const matchSchema: z.ZodType<WrittenMatch> = oneOf(
  'Which sessions. Exactly one of all, any, not, agents, creators, teams. What is not known about a session never brings it under a rule.',
  {
    get all() {
      return list(matchSchema, 'Sessions that all of these rules fit.').optional();
    },
    get any() {
      return list(matchSchema, 'Sessions that at least one of these rules fits.').optional();
    },
    get not() {
      return matchSchema.optional().meta({ description: 'Sessions that this rule does not fit.' });
    },
    agents: list(
      text('Id or name of an agent; * stands for any characters, ? for one.', 'support-*'),
      'Sessions of these agents, by id or name, with the globs * and ?. Upper and lower case differ.',
    ).optional(),
    creators: list(
      text('Id or e-mail address of a creator; * stands for any characters, ? for one.', 'oncall@example.com'),
      'Sessions that these people created, by id or e-mail address, with the globs * and ?. In addresses, case does not matter.',
    ).optional(),
    teams: list(
      text('Id of a team.', 'team_1'),
      'Sessions whose agent belongs to one of these teams, by exact id.',
    ).optional(),
  },
  'To combine rules, list them under all (every one fits) or any (at least one fits).',
).meta({ id: 'match' });

export const limitsSchema = z
  .strictObject({
    max_runtime: duration(
      'Longest time that one turn may be processing. A message sent meanwhile restarts it.',
      '45m',
    ).optional(),
    max_continuous_runtime: duration(
      'Longest time of unbroken processing, whatever was said meanwhile.',
      '3h',
    ).optional(),
    max_queue_time: duration('Longest time that one turn may wait in the queue.', '20m').optional(),
    max_credits: amount('Most credits of one turn.', 500, false).optional(),
    max_session_credits: amount(
      'Most credits over the life of the session, all turns together.',
      5000,
      false,
    ).optional(),
    max_tokens: amount(
      'Most tokens of one turn, input and output together. For runs on own model keys, which cost no model credits.',
      '2M',
      true,
    ).optional(),
  })
  .superRefine((limits, context) => {
    if (Object.values(limits).some((limit) => limit !== undefined)) return;
    context.addIssue({
      code: 'custom',
      message: 'holds no limit, so the policy could never act',
      params: { suggestion: 'For example: max_runtime: 45m' },
    });
  })
  .meta({ description: 'A turn that goes over any of these breaks the policy.', minProperties: 1 });

const caps = strict(
  'A circuit breaker on Curfew itself: over a cap the policy falls back to observe, until someone closes it again.',
  {
    max_cancels: leaf((value) => readWholeNumber(value, 1, 1_000_000), {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      description: 'Most turns to end within `per`. Default: 50.',
      examples: [20],
    }).optional(),
    max_percent: leaf(readPercentNumber, {
      type: 'number',
      exclusiveMinimum: 0,
      maximum: 100,
      description: 'Most turns to end within `per`, in percent of the live sessions. Default: 50.',
      examples: [25],
    }).optional(),
    per: duration('Time over which both are counted. Default: 1h.', '1h', MINUTE).optional(),
  },
);

export const policySchema = strict('A rule: which sessions, which limits, and what happens to a turn over them.', {
  name: name('Unique among the policies; it appears in reports, in the reason of a cancellation and in metrics.'),
  match: matchSchema,
  limits: limitsSchema,
  warn_at: leaf(readShare, {
    type: 'string',
    pattern: PERCENT_PATTERN,
    description: 'Tell someone at this share of a limit, between 0% and 100%. Default: never.',
    examples: ['80%'],
  }).optional(),
  grace: duration('Time from the first violation of a turn to its end. Default: 0s.', '2m', 0).optional(),
  mode: choice(
    ['off', 'observe', 'enforce'],
    'off: ignored. observe (default): says what it would end. enforce: ends it.',
  ).optional(),
  caps: caps.optional(),
  notify: list(
    text('Name of a route under notify.', 'ops'),
    'Routes that hear of warnings and cancellations of this policy.',
  ).optional(),
  on_restart: z
    .union([
      leaf(readReport, { type: 'string', const: 'report', description: 'Say so, and end nothing more.' }),
      strict('End the new turn too.', {
        cancel: strict('End the new turn too, up to a maximum.', {
          max: leaf((value) => readWholeNumber(value, 1, MOST_RESTARTS), {
            type: 'integer',
            minimum: 1,
            maximum: MOST_RESTARTS,
            description: `How many further turns to end at most, 1 to ${MOST_RESTARTS}.`,
            examples: [3],
          }),
        }),
      }),
    ])
    .meta({
      description:
        'What to do when a session that was ended starts a new turn by itself, from messages that waited: `report` (default), or `{ cancel: { max: 3 } }`.',
    })
    .optional(),
});

const select = strict('Which turns a cleanup ends.', {
  match: matchSchema.optional(),
  states: list(choice(['queued', 'processing'], 'State of the session.'), 'Only sessions in these states.'),
  queued_for: duration('Only sessions that have been waiting for so long.', '6h').optional(),
  running_for: duration('Only sessions that have been processing for so long.', '12h').optional(),
});

export const cleanupSchema = strict('Ends leftovers at fixed times, by a Temporal Schedule.', {
  name: name('Unique among the cleanups; it appears in reports and in the name of the Schedule.'),
  select,
  schedule: strict('When it runs.', {
    cron: leaf(readCron, {
      type: 'string',
      description:
        'Minute, hour, day of the month, month, day of the week. With both day fields given, both must fit (unlike other crons).',
      examples: ['0 3 * * *'],
    }),
    timezone: leaf(readTimeZone, {
      type: 'string',
      description: 'Time zone of the IANA database. Default: UTC.',
      examples: ['Europe/Berlin'],
    }).optional(),
  }),
  caps: caps.optional(),
});

const route = oneOf(
  'Where notices go: slack or webhook.',
  {
    slack: strict('An incoming webhook of Slack.', {
      url_file: leaf(readSecretPath, {
        type: 'string',
        description: 'Absolute path of a file that holds the address; the address is a secret.',
        examples: ['/run/secrets/slack'],
      }),
    }).optional(),
    webhook: strict('Any service that takes JSON by POST, signed.', {
      url: leaf(readHookUrl, {
        type: 'string',
        format: 'uri',
        description: 'Address, with https.',
        examples: ['https://example.com/hook'],
      }),
      secret_file: leaf(readSecretPath, {
        type: 'string',
        description: 'Absolute path of a file that holds the secret for the signature.',
        examples: ['/run/secrets/hook'],
      }),
    }).optional(),
  },
  'Give each kind a route of its own.',
);

export const exemptSchema = strict('A session that no rule may end for a while.', {
  session: leaf(readSessionId, {
    type: 'string',
    minLength: 1,
    maxLength: 200,
    description: 'Id of the session.',
    examples: ['sess_1'],
  }),
  until: leaf(readInstant, {
    type: 'string',
    description: 'When the exemption ends: date, time and offset.',
    examples: ['2026-12-01T00:00:00Z'],
  }),
  reason: text('Why, for whoever finds it later.', 'month-end close'),
});

/** What people write. Its output has durations in ms, amounts and shares as numbers; defaults are not filled in yet. */
export const fileSchema = strict('The policy file of Curfew.', {
  version: leaf(readVersion, { type: 'integer', const: 1, description: 'Version of this format.', examples: [1] }),
  policies: z.array(policySchema).max(MOST_ENTRIES).meta({ description: 'Rules under which turns end.' }).optional(),
  cleanup: z
    .array(cleanupSchema)
    .max(MOST_ENTRIES)
    .meta({ description: 'Leftovers to end at fixed times.' })
    .optional(),
  notify: z
    .record(z.string(), route)
    .meta({ description: 'Routes for notices, by name.', propertyNames: { pattern: NAME_PATTERN } })
    .optional(),
  exempt: z
    .array(exemptSchema)
    .max(MOST_ENTRIES)
    .meta({ description: 'Sessions to leave alone for a while. `curfew exempt` does the same without a new file.' })
    .optional(),
});

export type WrittenFile = z.output<typeof fileSchema>;
export type WrittenPolicy = z.output<typeof policySchema>;
export type WrittenCleanup = z.output<typeof cleanupSchema>;

/** For editors: draft 7, which all of them know. */
export const policyJsonSchema = (): Record<string, unknown> => ({
  ...z.toJSONSchema(fileSchema, {
    io: 'input',
    target: 'draft-7',
    // Left out where a value is transformed, because an example might be of the result. Ours are of what people write.
    override: ({ zodSchema, jsonSchema }) => {
      const examples = z.globalRegistry.get(zodSchema)?.['examples'];
      if (Array.isArray(examples)) jsonSchema.examples = examples;
    },
  }),
  title: 'Curfew policy file',
});
