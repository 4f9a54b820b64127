import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import * as z from 'zod';
import { ExitCode, UserError } from '../src/core/errors.js';
import { duration } from './duration.js';
import { faultSchema } from './fault-schema.js';
import type { World } from './world.js';
import { agentSchema, sessionSchema, teamSchema, type AgentInput, type SessionInput } from './world-schema.js';

const sessionEntry = z.looseObject({
  /** So many alike; with an `id`, each gets a number behind it. */
  count: z.int().min(1).max(100_000).default(1),
});

/** Checked here without its agent, so that a mistake is told with its place in the file. */
const sessionsOfAgent = z.array(
  sessionEntry.transform(({ count, ...session }, context) => {
    const parsed = sessionSchema.safeParse({ ...session, agent: 'of the entry above' });
    if (!parsed.success || 'agent' in session) {
      const issues = parsed.error?.issues ?? [{ path: ['agent'], message: 'is the agent above; leave it out' }];
      for (const { path, message } of issues) context.addIssue({ code: 'custom', path: [...path], message });
      return z.NEVER;
    }
    const { agent: _placeholder, ...checked } = parsed.data;
    return { count, session: checked };
  }),
);

export const scenarioSchema = z.strictObject({
  /** Concurrent runs. For the simulator's start; a scenario that is added later cannot change it. */
  slots: z.int().positive().optional(),
  whenSlotsAreFull: z.enum(['queue', 'reject']).optional(),
  /** Processing time of turns in sessions that clients create; null: never ending. */
  turnsRunFor: duration.nullable().optional(),
  /** Whether a cancelled run counts as a failed one of its trigger. */
  cancelFailsTrigger: z.boolean().optional(),
  errorShape: z.enum(['nested', 'flat']).optional(),
  seed: z.int().nonnegative().optional(),
  /** Those that agents name need no entry. */
  teams: z.array(teamSchema).default([]),
  agents: z.array(agentSchema.extend({ sessions: sessionsOfAgent.default([]) })).default([]),
  /** Faults that strike everywhere. */
  faults: z.array(faultSchema).default([]),
});

type SessionEntry = Omit<SessionInput, 'agent'> & { count?: number };

/** A scenario as it is written in a file. */
export interface ScenarioInput extends Omit<z.input<typeof scenarioSchema>, 'agents'> {
  agents?: (AgentInput & { sessions?: SessionEntry[] })[];
}
/** A scenario that was checked, by `loadScenario` or `scenario`. */
export type Scenario = z.output<typeof scenarioSchema>;

/** Checks a scenario that is written in code. @throws {z.ZodError} */
export const scenario = (input: ScenarioInput): Scenario => scenarioSchema.parse(input);

/** @throws {UserError} when the file cannot be read, is neither YAML nor JSON, or does not fit the format */
export async function loadScenario(file: string): Promise<Scenario> {
  const reject = (message: string, next: string) => new UserError(message, next, ExitCode.usage);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw reject(`The scenario ${file} cannot be read: ${messageOf(error)}.`, 'Check the path.');
  }
  let content: unknown;
  try {
    // JSON is YAML, so one parser reads both.
    content = parse(text);
  } catch (error) {
    throw reject(`The scenario ${file} is neither YAML nor JSON: ${messageOf(error)}`, 'Correct the file.');
  }
  const parsed = scenarioSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  throw reject(
    `The scenario ${file} does not match the format:\n${z.prettifyError(parsed.error)}`,
    'Correct these places; the format is described in docs/simulator.md.',
  );
}

/** Puts the agents, sessions and faults of a scenario into the world. @returns how many sessions came in */
export function populate(world: World, { teams, agents, faults }: Scenario): { agents: number; sessions: number } {
  for (const team of teams) world.addTeam(team);
  let count = 0;
  for (const { sessions, ...agent } of agents) {
    const { id } = world.addAgent(agent);
    for (const entry of sessions) {
      for (let i = 1; i <= entry.count; i++, count++) {
        const numbered = entry.session.id !== undefined && entry.count > 1;
        const name = numbered ? { id: `${entry.session.id ?? ''}_${i}` } : {};
        world.addSession({ ...entry.session, ...name, agent: id });
      }
    }
  }
  world.addFaults('everywhere', faults);
  return { agents: agents.length, sessions: count };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
