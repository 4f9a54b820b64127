import pc from 'picocolors';
import { populate, scenario, type World } from '../../../simulator/index.js';
import type { StoredFacts } from '../../adapters/ledger/facts.js';
import { flightOf } from '../../core/policy/state.js';
import { readPolicyFile } from '../../core/policy-file/index.js';
import type { Director } from './director.js';
import {
  EXEMPT_BY_COMMAND,
  FLEET_IDS,
  FLEET_SCENARIO,
  FLEET_STORY,
  fleetPolicies,
  NEEDS_APPROVAL,
  STEERED,
} from './scenes.js';
import { compare, NOTHING_TOLD, type Said, type Standing, type Told, type Verdict } from './verdict.js';

const FILE = 'fleet.yaml';
const EXEMPT_FOR_MS = 2 * 60 * 60_000;
/** Everything is over after half a minute; a table that disagrees is shown after this, ms. */
const ENOUGH_MS = 60_000;
/** By then most are over, ms. */
const STATUS_AGAIN_MS = 14_000;
const LOOK_MS = 500;
const KNOWN_WITHIN_MS = 60 * 60_000;

/** Second act: a fleet under a policy file. */
export async function actByPolicy({ stage, out, scene, curfew, until, pause }: Director): Promise<Verdict[]> {
  const { world } = stage.simulator;
  scene('2. Thirty sessions of four agents, under one policy file');
  populate(world, scenario(FLEET_SCENARIO));
  for (const [count, story] of FLEET_STORY)
    out.show({ count, story }, (shown) => `  ${String(shown.count).padStart(2)}  ${shown.story}`);
  const exemptUntil = new Date(Date.now() + EXEMPT_FOR_MS).toISOString();
  const text = fleetPolicies(exemptUntil);
  await stage.write(FILE, text);
  out.show(exemptUntil, (until) => `\n${pc.dim(fleetPolicies(until).trimEnd())}\n`);
  const { policies, exempt } = readPolicyFile(text, FILE).file;
  const startedAt = Date.now();
  const exemptIds = new Set([EXEMPT_BY_COMMAND, ...exempt.map(({ sessionId }) => sessionId)]);
  const told: Told = { ...NOTHING_TOLD, policies, exempt: exemptIds, since: startedAt };
  const isRunning = (id: string): boolean => world.session(id).state === 'processing';

  await curfew('exempt', EXEMPT_BY_COMMAND, '--for', '2h', '--reason', 'month-end close');
  await curfew('policy', 'plan', FILE, '--limit', '10');
  if (isRunning(STEERED)) world.steer(STEERED, 'Only the German customers, please.');
  await curfew('policy', 'apply', FILE, '--yes');
  await until(async () => (await stage.ledger.facts.of(NEEDS_APPROVAL)) !== null, 'the first scan');
  if (isRunning(NEEDS_APPROVAL)) world.requireApproval(NEEDS_APPROVAL, 'May I send 4,000 mails?');
  await curfew('status', '--limit', '12');
  await pause(Math.max(0, startedAt + STATUS_AGAIN_MS - Date.now()));
  await curfew('status', '--limit', '12');

  for (;;) {
    const said = await sayings(stage.ledger);
    const verdicts = said.map((one) => compare(one, world, told));
    const isDone = said.every((one) => isOver(one, world)) && verdicts.every(({ agree }) => agree);
    if (isDone || Date.now() - startedAt > ENOUGH_MS) return verdicts;
    await pause(LOOK_MS);
  }
}

/** Whether nothing more is to come of it. */
function isOver({ sessionId, orders, standing }: Said, world: World): boolean {
  if (standing !== null) return standing !== 'within-limits';
  const { state } = world.session(sessionId);
  return orders.every(({ outcome }) => outcome !== null) && state !== 'processing' && state !== 'queued';
}

/** What Curfew says of each session, from its ledger alone. */
async function sayings(ledger: Director['stage']['ledger']): Promise<Said[]> {
  const [views, { facts }, exempt] = await Promise.all([
    ledger.orders.views({ limit: 1_000 }),
    ledger.facts.load(KNOWN_WITHIN_MS),
    ledger.exemptions.running(),
  ]);
  const known = new Map(facts.map((stored) => [stored.sessionId, stored]));
  return FLEET_IDS.map((sessionId): Said => {
    const orders = views
      .map(({ result }) => result)
      .filter((result) => result.sessionId === sessionId)
      .sort((a, b) => a.orderedAt.localeCompare(b.orderedAt));
    const standing = orders.length > 0 ? null : standingOf(known.get(sessionId), exempt.has(sessionId));
    return { sessionId, orders, standing };
  });
}

function standingOf(stored: StoredFacts | undefined, isExempt: boolean): Standing {
  if (isExempt) return 'exempt';
  if (stored === undefined) return 'not-watched';
  const { state } = stored.facts.timeline;
  if (state === 'approval_required') return 'waits-for-approval';
  return stored.listed && flightOf(state) === 'in-flight' ? 'within-limits' : 'over';
}
