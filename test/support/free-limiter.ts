import type { Limiter } from '../../src/adapters/vendor/limiter.js';

/** Lets everything out at once. */
export const FREE_LIMITER: Limiter = { acquire: () => Promise.resolve(), held: () => null };
