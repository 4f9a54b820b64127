import * as z from 'zod';
import { duration, durationOr } from './duration.js';
import { faultSchema } from './fault-schema.js';
import { SESSION_STATES } from './session.js';

/** The vendor's limit on messages that wait in one session. */
export const MAX_QUEUED_MESSAGES = 20;

const turnEnd = z.enum(['completed', 'failed']);
const id = z.string().min(1).max(200);

const spending = z.strictObject({
  /** All credits; contains `toolCredits`. */
  credits: z.number().nonnegative().default(0),
  toolCredits: z.number().nonnegative().default(0),
  inputTokens: z.number().nonnegative().default(0),
  outputTokens: z.number().nonnegative().default(0),
});

const USUAL_SPENDING = { credits: 0.05, toolCredits: 0.01, inputTokens: 120, outputTokens: 25 };
const NO_SPENDING = { credits: 0, toolCredits: 0, inputTokens: 0, outputTokens: 0 };

/** What starts sessions of an agent by itself. */
const triggerSchema = z.strictObject({
  id,
  type: z.enum(['schedule', 'webhook', 'integration']).default('schedule'),
  enabled: z.boolean().default(true),
  /** It switches itself off after so many failed runs in a row. */
  maxFailures: z.int().positive().default(3),
});

export const teamSchema = z.strictObject({
  id,
  /** Default: its id. */
  name: z.string().min(1).optional(),
  /** Whether the user is in it: if not, the list of its agents is refused, and no list of teams shows it. */
  member: z.boolean().default(true),
  /** Whether the list of teams shows it to its members. */
  listed: z.boolean().default(true),
  faults: z.array(faultSchema).default([]),
});
export type TeamInput = z.input<typeof teamSchema>;

export const agentSchema = z.strictObject({
  id: id.optional(),
  name: z.string().min(1).default('Agent'),
  /** Agents of a team appear only in lists that ask for this team. One that was not added is one that the user is in. */
  teamId: id.nullable().default(null),
  creatorUserId: id.optional(),
  active: z.boolean().default(true),
  triggerCount: z.int().nonnegative().default(0),
  triggers: z.array(triggerSchema).default([]),
  tools: z.array(z.string()).default([]),
  flows: z.array(z.string()).default([]),
  faults: z.array(faultSchema).default([]),
});
export type AgentInput = z.input<typeof agentSchema>;

/** When a turn that is queued moves on: `never` until released, `slot` with the next free slot, or after a duration. */
const leavesQueue = durationOr('never', 'slot');

export const turnSchema = z.strictObject({
  message: z.string().min(1).default('Please go on.'),
  /** Processing time until the natural end, from now; null: it never ends by itself. */
  runsFor: duration.nullable().optional(),
  endsAs: turnEnd.optional(),
  leavesQueue: leavesQueue.default('slot'),
});
export type TurnInput = z.input<typeof turnSchema>;

export const sessionSchema = z
  .strictObject({
    id: id.optional(),
    /** Id of its agent, which must be there already. */
    agent: id,
    name: z.string().min(1).default('Session'),
    type: z.string().min(1).default('api'),
    creatorUserId: id.optional(),
    triggerId: id.nullable().default(null),
    state: z.enum(SESSION_STATES).default('processing'),
    /** Age of the current or last user message. */
    turnAge: duration.default(0),
    /** Share of that age that the turn waited for a slot. */
    queuedFor: duration.default(0),
    /** For `completed` and `failed`: how long ago the turn ended. */
    endedAgo: duration.default(0),
    /** Processing time still to go until the natural end; null: never. Also for the turns after this one. */
    runsFor: duration.nullable().default(null),
    endsAs: turnEnd.default('completed'),
    /** For `queued`. */
    leavesQueue: leavesQueue.default('never'),
    /** Finished turns before this one, a user and an assistant message each. */
    earlierTurns: z.int().min(0).max(10_000).default(0),
    /** Age of the conversation; without it, that of its first message. */
    age: duration.optional(),
    usagePerSecond: spending.default(USUAL_SPENDING),
    usageBefore: spending.default(NO_SPENDING),
    /** Texts of messages that wait for the end of the turn, or how many. */
    queuedMessages: z
      .union([z.int().min(0).max(MAX_QUEUED_MESSAGES), z.array(z.string()).max(MAX_QUEUED_MESSAGES)])
      .default(0),
    afterCancel: z.enum(['continue-queue', 'keep-queue', 'clear-queue']).default('continue-queue'),
    faults: z.array(faultSchema).default([]),
  })
  .refine((session) => session.queuedFor <= session.turnAge, {
    path: ['queuedFor'],
    message: 'a turn cannot have waited longer than its age (turnAge)',
  })
  .refine((session) => session.endedAgo <= session.turnAge - session.queuedFor, {
    path: ['endedAgo'],
    message: 'the turn would have ended before it ran (turnAge less queuedFor)',
  });
export type SessionInput = z.input<typeof sessionSchema>;
export type SessionPlan = z.output<typeof sessionSchema>;
