import type { Limiter } from '../../src/gate/limiter.js';

/** Lets everything out at once. */
export const FREE_LIMITER: Limiter = { acquire: () => Promise.resolve(), held: () => null };
