import type { Output } from '../output.js';
import { actByBulk } from './by-bulk.js';
import { actByHand } from './by-hand.js';
import { actByPolicy } from './by-policy.js';
import { createDirector } from './director.js';
import type { Stage } from './stage.js';
import type { Verdict } from './verdict.js';

/** Plays the story with real commands, real workers and a real kill. */
export async function play(
  stage: Stage,
  out: Output,
  signal: AbortSignal,
): Promise<{ readonly byHand: Verdict[]; readonly fleet: Verdict[]; readonly bulk: Verdict[] }> {
  const director = createDirector(stage, out, signal);
  const byHand = await actByHand(director);
  const fleet = await actByPolicy(director);
  return { byHand, fleet, bulk: await actByBulk(director) };
}
