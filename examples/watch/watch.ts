/**
 * Puts a session that was just started under limits, gives it more time later, and asks how it ended.
 *
 *   node --import tsx examples/watch/watch.ts SESSION_ID
 *
 * Needs @temporalio/client and a Curfew worker on the same Temporal; TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where.
 */
import { Client, Connection, WorkflowFailedError } from '@temporalio/client';

const sessionId = process.argv[2];
if (sessionId === undefined) {
  console.error('Usage: node --import tsx examples/watch/watch.ts SESSION_ID');
  process.exit(2);
}

const connection = await Connection.connect({ address: process.env['TEMPORAL_ADDRESS'] ?? '127.0.0.1:7233' });
const client = new Client({ connection, namespace: process.env['TEMPORAL_NAMESPACE'] ?? 'default' });

// One watch per session. Started again, the one that runs is found, and its limits stay as they are.
const watch = await client.workflow.start('sessionWatch', {
  workflowId: `watch/${sessionId}`,
  taskQueue: 'curfew',
  workflowIdConflictPolicy: 'USE_EXISTING',
  args: [
    {
      sessionId,
      limits: { maxRuntime: '20m', maxCredits: 500 },
      reason: 'nightly import',
      requestedBy: 'importer@example.com',
    },
  ],
});

// More time, or less: an update is answered when it counts.
const { order, watch: changed } = await watch.executeUpdate<
  { order: string; watch: { limits: object } },
  [{ limits: { maxRuntime: string }; requestedBy: string }]
>('extend', { args: [{ limits: { maxRuntime: '40m' }, requestedBy: 'importer@example.com' }] });
console.log('limits now', changed.limits, 'order met:', order);

const status = await watch.query<{ phase: string; deadline: string | null; lastNote: string }>('watch');
console.log(status.phase, status.deadline, status.lastNote);

// The session needs no watch any more. Leave this out, and the result tells how the session ended.
await watch.executeUpdate('release', { args: [{ reason: 'the import is done', requestedBy: 'importer@example.com' }] });

try {
  const result = (await watch.result()) as { ending: string; order: { outcome: string } | null };
  console.log('ended:', result.ending, 'order:', result.order?.outcome ?? 'none');
} catch (error) {
  if (!(error instanceof WorkflowFailedError)) throw error;
  // A wrong limit is named here: "limits.maxRuntime is "20", which has no unit. Did you mean 20m?"
  console.error('refused:', error.cause?.message);
  process.exitCode = 1;
} finally {
  await connection.close();
}
