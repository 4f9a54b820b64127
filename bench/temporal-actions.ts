import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import pMap from 'p-map';
import { caseWorkflowId, ENFORCEMENT_WORKFLOW_ID, SESSION_CANCELLATION } from '../src/core/contract.js';
import { round, spreadOf, type Spread } from './figures.js';
import type { Violation } from './watched-run.js';

/** What Temporal Cloud bills, as far as histories show it, and heartbeats, which they don't. */
export interface Actions {
  readonly recorded: number;
  /** One at the start of each activity and one each two seconds after it, which is how the worker sends them. */
  readonly heartbeatsEstimated: number;
  readonly historyEvents: number;
  readonly byKind: Readonly<Record<string, number>>;
}

export interface TemporalFigures {
  /** Of the workflow for the whole fleet, within the window. */
  readonly enforcement: Actions & { readonly perHour: number; readonly perSessionHour: number };
  /** Of closed cases. Null when none had closed. */
  readonly perCase: { readonly cases: number; readonly recorded: number; readonly heartbeatsEstimated: number } | null;
  /** Where the lag of some violators came from, ms. */
  readonly lagByStageMs: {
    /** Deadline to the start of the case: waits for a look, looks, writes the order, asks Temporal. */
    readonly toCase: Spread | null;
    /** Start of the case to its first activity: Temporal. */
    readonly toActivity: Spread | null;
    /** First activity to the arrival of the cancel request: the gate. */
    readonly toRequest: Spread | null;
  };
  /** Workflow executions by type, all that there are. */
  readonly executions: Readonly<Record<string, number>>;
  readonly casesStillOpen: number;
  /** Cases on sessions that broke no limit. */
  readonly casesOnInnocents: number;
}

export interface ActionsWindow {
  readonly fromMs: number;
  readonly toMs: number;
  readonly liveSessions: number;
}

const HEARTBEAT_MS = 2_000;
/** Cases whose histories are read. */
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

/** Reads what Curfew's workflows did from their histories. */
export async function temporalFigures(
  address: string,
  window: ActionsWindow,
  violations: readonly Violation[],
): Promise<TemporalFigures> {
  const connection = await Connection.connect({ address });
  try {
    const client = new Client({ connection });
    const violators = new Set(violations.map(({ sessionId }) => caseWorkflowId(sessionId)));
    const executions: Record<string, number> = {};
    const rounds: { workflowId: string; runId: string }[] = [];
    const closed: { workflowId: string; runId: string }[] = [];
    let open = 0;
    let innocents = 0;
    for await (const { type, workflowId, runId, status } of client.workflow.list()) {
      executions[type] = (executions[type] ?? 0) + 1;
      if (workflowId === ENFORCEMENT_WORKFLOW_ID) rounds.push({ workflowId, runId });
      if (type !== SESSION_CANCELLATION) continue;
      if (status.name === 'RUNNING') open += 1;
      else closed.push({ workflowId, runId });
      if (!violators.has(workflowId)) innocents += 1;
    }
    const eventsOf = async ({ workflowId, runId }: { workflowId: string; runId?: string }): Promise<Event[]> =>
      (await client.workflow.getHandle(workflowId, runId).fetchHistory()).events ?? [];

    const ofFleet = (await pMap(rounds, eventsOf, { concurrency: 2 })).map((events) =>
      actionsIn(events, window.fromMs, window.toMs),
    );
    const enforcement = sum(ofFleet);
    const cases = await pMap(closed.slice(0, CASES_READ), eventsOf, { concurrency: 4 });
    const ofCases = sum(cases.map((events) => actionsIn(events, 0, Infinity)));
    const hours = (window.toMs - window.fromMs) / 3_600_000;
    const all = enforcement.recorded + enforcement.heartbeatsEstimated;
    return {
      enforcement: {
        ...enforcement,
        perHour: round(all / hours, 0),
        perSessionHour: round(all / hours / window.liveSessions, 4),
      },
      perCase:
        cases.length === 0
          ? null
          : {
              cases: cases.length,
              recorded: round(ofCases.recorded / cases.length),
              heartbeatsEstimated: round(ofCases.heartbeatsEstimated / cases.length),
            },
      lagByStageMs: await stages(violations, (workflowId) => eventsOf({ workflowId })),
      executions,
      casesStillOpen: open,
      casesOnInnocents: innocents,
    };
  } finally {
    await connection.close();
  }
}

async function stages(
  violations: readonly Violation[],
  eventsOf: (workflowId: string) => Promise<Event[]>,
): Promise<TemporalFigures['lagByStageMs']> {
  const asked = violations.filter(({ askedAt }) => askedAt !== null);
  const every = Math.max(1, Math.ceil(asked.length / CASES_READ));
  const [toCase, toActivity, toRequest]: number[][] = [[], [], []];
  await pMap(
    asked.filter((_, index) => index % every === 0),
    async ({ sessionId, deadlineAt, askedAt }) => {
      const events = await eventsOf(caseWorkflowId(sessionId));
      const timeOfFirst = (part: keyof Event): number | undefined => {
        const event = events.find((one) => one[part] != null);
        return event === undefined ? undefined : timeOf(event);
      };
      const startedAt = timeOfFirst('workflowExecutionStartedEventAttributes');
      const activityAt = timeOfFirst('activityTaskStartedEventAttributes');
      if (startedAt === undefined || activityAt === undefined || askedAt === null) return;
      toCase?.push(startedAt - deadlineAt);
      toActivity?.push(activityAt - startedAt);
      toRequest?.push(askedAt - activityAt);
    },
    { concurrency: 4 },
  );
  return {
    toCase: spreadOf(toCase ?? []),
    toActivity: spreadOf(toActivity ?? []),
    toRequest: spreadOf(toRequest ?? []),
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
