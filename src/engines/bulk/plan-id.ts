import { randomInt } from 'node:crypto';

/** Without letters and digits that look alike, and without vowels, so that no words come out. */
const SIGNS = '23456789bcdfghjkmnpqrstvwxz';
const LENGTH = 7;

/** Id of a bulk plan: short enough to be typed, one of ten thousand million. */
export const newPlanId = (): string =>
  `b-${Array.from({ length: LENGTH }, () => SIGNS[randomInt(SIGNS.length)]).join('')}`;
