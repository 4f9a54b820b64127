import { once } from 'node:events';
import { scenario, startSimulator } from '../simulator/index.js';
import { agentsOf, isViolator, planFleet, sessionsIn, type FleetShape, type PlannedSession } from './fleet.js';
import { recordSessionRequests } from './session-requests.js';
import { WORST_FAULTS } from './worst-vendor.js';

/**
 * The simulated fleet, a process of its own, so that what it costs is not counted. Its argument is a fleet shape as JSON; it
 * prints one line of JSON: where it is, and when the fleet came into being.
 */
async function main(): Promise<void> {
  const shape = JSON.parse(process.argv[2] ?? '') as FleetShape;
  const planned = planFleet(shape);
  const simulator = await startSimulator({
    slots: 2 * sessionsIn(shape),
    scenario: scenario({
      agents: agentsOf(shape),
      seed: 1,
      faults: shape.worst === true ? [...WORST_FAULTS] : [],
    }),
  });
  const { world, url, controlUrl, apiKey, userId } = simulator;
  const bornAt = world.now();
  // Adding thousands takes a moment; each counts from the same one.
  for (const { input } of planned) world.addSession(input);
  const violators = planned.filter(({ kind }) => isViolator(kind));
  const record = await recordSessionRequests(world, new Set(violators.map(({ input }) => input.id)));
  const timers = new Set<NodeJS.Timeout>();
  for (const session of planned) churn(session);
  console.log(JSON.stringify({ url, controlUrl, apiKey, userId, bornAt, recordUrl: record.url }));
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  for (const timer of timers) clearTimeout(timer);
  record.stop();
  await simulator.close();

  /** Turn after turn, with rests between. */
  function churn({ input, cycle }: PlannedSession): void {
    if (cycle === null) return;
    const timer = setInterval(() => {
      if (world.session(input.id).state === 'completed') world.startTurn(input.id, { runsFor: cycle.runsMs });
    }, cycle.runsMs + cycle.restsMs);
    timers.add(timer);
  }
}

await main();
