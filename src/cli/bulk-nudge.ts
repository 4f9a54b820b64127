import type { Config } from '../platform/config.js';
import { withControlPlane } from './control-plane.js';

/**
 * Has the workflow of a job look into the ledger now. What was written there holds without it: a worker sees it within
 * a second, or when it takes the job up. So every failure is left aside.
 *
 * @param ensure - also start the workflow if it is gone
 */
export async function nudge(config: Config, planId: string, { ensure }: { readonly ensure: boolean }): Promise<void> {
  try {
    await withControlPlane(config, async (plane) => {
      if (!(await plane.bulkJobs.poke(planId)) && ensure) await plane.bulkJobs.ensure(planId);
    });
  } catch {
    // Temporal is away, or not even configured here.
  }
}
