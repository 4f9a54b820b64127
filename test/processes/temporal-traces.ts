import { Client, Connection } from '@temporalio/client';

/** A payload as Temporal keeps it. */
export interface KeptPayload {
  /** Workflow or Schedule, and the path to it in there. */
  readonly where: string;
  readonly encoding: string;
  /** Id of the key it was encrypted with; empty without. */
  readonly keyId: string;
  readonly text: string;
  /** Search attributes are never encrypted: the server has to compare them. */
  readonly searchAttribute: boolean;
}

/** All that the server keeps of Curfew, as whoever can look into it sees it. */
export interface TemporalTraces {
  readonly workflowIds: readonly string[];
  readonly payloads: readonly KeptPayload[];
  /** Every text outside of payloads, by its place: ids, types, messages and stack traces of failures, identities. */
  readonly texts: readonly { readonly where: string; readonly text: string }[];
}

/** Reads histories, descriptions and Schedules without any codec. */
export async function readTraces(address: string, namespace = 'default'): Promise<TemporalTraces> {
  const connection = await Connection.connect({ address });
  const found: { payloads: KeptPayload[]; texts: { where: string; text: string }[] } = { payloads: [], texts: [] };
  const workflowIds: string[] = [];
  try {
    const client = new Client({ connection, namespace });
    // Raw: the client's own list wants to decode memos.
    const { executions } = await connection.workflowService.listWorkflowExecutions({ namespace, pageSize: 1_000 });
    for (const { execution } of executions ?? []) {
      const workflowId = execution?.workflowId ?? '';
      const runId = execution?.runId ?? '';
      workflowIds.push(workflowId);
      const handle = client.workflow.getHandle(workflowId, runId);
      walk(await handle.fetchHistory(), workflowId, found);
      const request = { namespace, execution: { workflowId, runId } };
      walk(await connection.workflowService.describeWorkflowExecution(request), `${workflowId} described`, found);
    }
    const { schedules } = await connection.workflowService.listSchedules({ namespace });
    for (const { scheduleId } of schedules ?? []) {
      const described = await connection.workflowService.describeSchedule({ namespace, scheduleId: scheduleId ?? '' });
      walk(described, `Schedule ${scheduleId}`, found);
    }
  } finally {
    await connection.close();
  }
  return { workflowIds, ...found };
}

function walk(
  value: unknown,
  where: string,
  found: { payloads: KeptPayload[]; texts: { where: string; text: string }[] },
): void {
  if (typeof value === 'string') found.texts.push({ where, text: value });
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  if ('metadata' in value && 'data' in value) {
    const { metadata, data } = value as { metadata?: Record<string, Uint8Array>; data?: Uint8Array };
    const named = (name: string): string => Buffer.from(metadata?.[name] ?? []).toString();
    found.payloads.push({
      where,
      encoding: named('encoding'),
      keyId: named('encryption-key-id'),
      text: Buffer.from(data ?? []).toString('latin1'),
      searchAttribute: where.includes('.indexedFields.'),
    });
    return;
  }
  for (const [name, child] of Object.entries(value)) walk(child, `${where}.${name}`, found);
}
