import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import pMap from 'p-map';
import { caseWorkflowId, ENFORCEMENT_WORKFLOW_ID, SESSION_CANCELLATION } from '../src/core/contract.js';
import { round, spreadOf, type Spread } from './figures.js';
import type { Violation } from './judge.js';

/** What Temporal Cloud bills, as far as histories show it, and heartbeats, which they don't. */
export interface Actions {
  readonly recorded: number;
  /** One at the start of each activity and one each two seconds after it, which is how the worker sends them. */
  readonly heartbeatsEstimated: number;
  readonly historyEvents: number;
  readonly byKind: Readonly<Record<string, number>>;
}

export interface TemporalFigures {
  /** Of the workflow for the whole fleet, within the steady window. */
  readonly enforcement: Actions & { readonly perHour: number; readonly perSessionHour: number };
  /** The same within the window of violations, per hour. */
  readonly enforcementPerHourInViolations: number;
  /** Violators for which a workflow was started; the first request for the others needed none. */
  readonly casesOpened: number;
  /** Of closed cases. Null when none had closed. */
  readonly perCase: { readonly cases: number; readonly recorded: number; readonly heartbeatsEstimated: number } | null;
  /** Actions of all cases, by those whose histories were read, per violator: 0 when there was no case. */
  readonly actionsPerViolator: number;
  /** Where the lag came from of some that crossed `max_runtime` and got their first request from a case. Null: none. */
  readonly lagByStageMs: {
    /** Deadline to the start of the case: waits for a look, looks, writes the order, asks Temporal. */
    readonly toCase: Spread | null;
    /** Start of the case to its first activity: Temporal. */
    readonly toActivity: Spread | null;
    /** First activity to the arrival of the cancel request: the gate. */
    readonly toRequest: Spread | null;
  } | null;
  /** Workflow executions by type, all that there are. */
  readonly executions: Readonly<Record<string, number>>;
  readonly casesStillOpen: number;
  /** Cases on sessions that broke no limit. */
  readonly casesOnInnocents: number;
}

/** Absolute times, ms since the Unix epoch. */
interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface ActionsWindows {
  readonly steady: Window;
  readonly violations: Window;
  readonly liveSessions: number;
}

const HEARTBEAT_MS = 2_000;
/** Cases of each kind whose histories are read. */
const CASES_READ = 100;

type Event = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];

/** What is billed, by the part of an event that shows it. Completions are not; a retried activity shows in its start. */
const BILLED = [
  ['workflowExecutionStartedEventAttributes', 'workflow started'],
  ['activityTaskScheduledEventAttributes', 'activity'],
  ['timerStartedEventAttributes', 'timer'],
  ['workflowExecutionSignaledEventAttributes', 'signal'],
  ['workflowExecutionUpdateAcceptedEventAttributes', 'update'],
  ['upsertWorkflowSearchAttributesEventAttributes', 'search attributes'],
  ['workflowPropertiesModifiedEventAttributes', 'memo'],
] as const;

interface Execution {
  readonly workflowId: string;
  readonly runId?: string;
}

/** Reads what Curfew's workflows did from their histories. */
export async function temporalFigures(
  address: string,
  { steady, violations: violationsWindow, liveSessions }: ActionsWindows,
  violations: readonly Violation[],
): Promise<TemporalFigures> {
  const connection = await Connection.connect({ address });
  try {
    const client = new Client({ connection });
    const violators = new Set(violations.map(({ sessionId }) => caseWorkflowId(sessionId)));
    const executions: Record<string, number> = {};
    const rounds: Execution[] = [];
    const closed: Execution[] = [];
    const open: Execution[] = [];
    const cases = new Set<string>();
    for await (const { type, workflowId, runId, status } of client.workflow.list()) {
      executions[type] = (executions[type] ?? 0) + 1;
      if (workflowId === ENFORCEMENT_WORKFLOW_ID) rounds.push({ workflowId, runId });
      if (type !== SESSION_CANCELLATION) continue;
      cases.add(workflowId);
      (status.name === 'RUNNING' ? open : closed).push({ workflowId, runId });
    }
    const eventsOf = async ({ workflowId, runId }: Execution): Promise<Event[]> =>
      (await client.workflow.getHandle(workflowId, runId).fetchHistory()).events ?? [];
    const actionsOf = async (some: readonly Execution[]): Promise<Actions[]> =>
      (await pMap(some.slice(0, CASES_READ), eventsOf, { concurrency: 4 })).map((events) =>
        actionsIn(events, 0, Infinity),
      );

    const ofFleet = await pMap(rounds, eventsOf, { concurrency: 2 });
    const within = ({ fromMs, toMs }: Window) => {
      const actions = sum(ofFleet.map((events) => actionsIn(events, fromMs, toMs)));
      return { ...actions, perHour: (all(actions) / (toMs - fromMs)) * 3_600_000 };
    };
    const enforcement = within(steady);
    const [ofClosed, ofOpen] = [await actionsOf(closed), await actionsOf(open)];
    const ofCases = estimate(ofClosed, closed.length) + estimate(ofOpen, open.length);
    const casesOpened = [...cases].filter((workflowId) => violators.has(workflowId)).length;
    return {
      enforcement: {
        ...enforcement,
        perHour: round(enforcement.perHour, 0),
        perSessionHour: round(enforcement.perHour / liveSessions, 4),
      },
      enforcementPerHourInViolations: round(within(violationsWindow).perHour, 0),
      casesOpened,
      perCase: meanActions(ofClosed),
      actionsPerViolator: violations.length === 0 ? 0 : round(ofCases / violations.length),
      lagByStageMs: await stages(
        violations.filter(({ kind, sessionId }) => kind !== 'over-credits' && cases.has(caseWorkflowId(sessionId))),
        (workflowId) => eventsOf({ workflowId }),
      ),
      executions,
      casesStillOpen: open.length,
      casesOnInnocents: cases.size - casesOpened,
    };
  } finally {
    await connection.close();
  }
}

const all = ({ recorded, heartbeatsEstimated }: Actions): number => recorded + heartbeatsEstimated;

function meanActions(cases: readonly Actions[]): TemporalFigures['perCase'] {
  if (cases.length === 0) return null;
  const { recorded, heartbeatsEstimated } = sum(cases);
  return {
    cases: cases.length,
    recorded: round(recorded / cases.length),
    heartbeatsEstimated: round(heartbeatsEstimated / cases.length),
  };
}

/** Of so many, when these were read. */
const estimate = (read: readonly Actions[], count: number): number =>
  read.length === 0 ? 0 : (all(sum(read)) / read.length) * count;

/** @param violations - those that have a case */
async function stages(
  violations: readonly Violation[],
  eventsOf: (workflowId: string) => Promise<Event[]>,
): Promise<TemporalFigures['lagByStageMs']> {
  const asked = violations.filter(({ askedAt }) => askedAt !== null);
  const every = Math.max(1, Math.ceil(asked.length / CASES_READ));
  const each = await pMap(
    asked.filter((_, index) => index % every === 0),
    async ({ sessionId, deadlineAt, askedAt }) => {
      const events = await eventsOf(caseWorkflowId(sessionId));
      const timeOfFirst = (part: keyof Event): number | undefined => {
        const event = events.find((one) => one[part] != null);
        return event === undefined ? undefined : timeOf(event);
      };
      const startedAt = timeOfFirst('workflowExecutionStartedEventAttributes');
      const activityAt = timeOfFirst('activityTaskStartedEventAttributes');
      if (startedAt === undefined || activityAt === undefined || askedAt === null) return [];
      // A case that was opened for what was not clear after the first request did not send that one.
      if (activityAt > askedAt) return [];
      return [{ toCase: startedAt - deadlineAt, toActivity: activityAt - startedAt, toRequest: askedAt - activityAt }];
    },
    { concurrency: 4 },
  );
  const lags = each.flat();
  if (lags.length === 0) return null;
  return {
    toCase: spreadOf(lags.map(({ toCase }) => toCase)),
    toActivity: spreadOf(lags.map(({ toActivity }) => toActivity)),
    toRequest: spreadOf(lags.map(({ toRequest }) => toRequest)),
  };
}

function actionsIn(events: readonly Event[], fromMs: number, toMs: number): Actions {
  const byKind: Record<string, number> = {};
  const startedAt = new Map<string, number>();
  let recorded = 0;
  let heartbeats = 0;
  let historyEvents = 0;
  for (const event of events) {
    const atMs = timeOf(event);
    const within = atMs >= fromMs && atMs < toMs;
    if (within) historyEvents += 1;
    const kind = BILLED.find(([part]) => event[part] != null)?.[1];
    if (kind !== undefined && within) {
      recorded += 1;
      byKind[kind] = (byKind[kind] ?? 0) + 1;
    }
    const started = event.activityTaskStartedEventAttributes;
    if (started != null) {
      startedAt.set(String(event.eventId), atMs);
      const retries = (started.attempt ?? 1) - 1;
      if (retries > 0 && within) {
        recorded += retries;
        byKind['activity retry'] = (byKind['activity retry'] ?? 0) + retries;
      }
    }
    const ended =
      event.activityTaskCompletedEventAttributes ??
      event.activityTaskFailedEventAttributes ??
      event.activityTaskCanceledEventAttributes;
    const beganAt = ended == null ? undefined : startedAt.get(String(ended.startedEventId));
    if (beganAt !== undefined && atMs > fromMs && beganAt < toMs) {
      heartbeats += 1 + Math.floor((Math.min(atMs, toMs) - Math.max(beganAt, fromMs)) / HEARTBEAT_MS);
    }
  }
  return { recorded, heartbeatsEstimated: heartbeats, historyEvents, byKind };
}

const timeOf = ({ eventTime }: Event): number =>
  Number(eventTime?.seconds ?? 0) * 1_000 + (eventTime?.nanos ?? 0) / 1e6;

function sum(all: readonly Actions[]): Actions {
  const byKind: Record<string, number> = {};
  for (const actions of all) {
    for (const [kind, count] of Object.entries(actions.byKind)) byKind[kind] = (byKind[kind] ?? 0) + count;
  }
  const total = (pick: (actions: Actions) => number): number => all.reduce((so, actions) => so + pick(actions), 0);
  return {
    recorded: total(({ recorded }) => recorded),
    heartbeatsEstimated: total(({ heartbeatsEstimated }) => heartbeatsEstimated),
    historyEvents: total(({ historyEvents }) => historyEvents),
    byKind,
  };
}
