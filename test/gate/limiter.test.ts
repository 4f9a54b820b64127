import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/gate/clock.js';
import { createLimiter } from '../../src/gate/limiter.js';
import { FakeClock } from '../support/scripted-vendor.js';

describe('the limiter', () => {
  it('lets what can wait go after what can not, whoever came first, and in the end', async () => {
    const limiter = createLimiter(10, systemClock);
    for (let n = 0; n < 10; n += 1) await limiter.acquire();
    const order: string[] = [];
    const later = [1, 2, 3].map((n) => limiter.acquire('later').then(() => order.push(`later ${n}`)));
    const now = [1, 2, 3, 4].map((n) => limiter.acquire().then(() => order.push(`now ${n}`)));
    await Promise.all([...later, ...now]);
    expect(order.slice(-3)).toEqual(expect.arrayContaining(['later 2', 'later 3']));
    expect(order.filter((one) => one.startsWith('later'))).toEqual(['later 1', 'later 2', 'later 3']);
  });

  it('lets nothing out while the vendor asked to be left alone, and all of it afterwards', async () => {
    const clock = new FakeClock(0);
    const limiter = createLimiter(100, clock);
    await limiter.acquire();
    limiter.backOff(20);
    limiter.backOff(5);
    let out = 0;
    const waiting = [1, 2, 3].map(() => limiter.acquire().then(() => (out += 1)));
    // Longer than the time asked for on the real clock; on the limiter's none has passed.
    await sleep(60);
    expect(out).toBe(0);
    clock.advance(20);
    await Promise.all(waiting);
    expect(out).toBe(3);
  });
});
