import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLimiter } from '../../src/gate/limiter.js';
import { FakeClock } from '../support/scripted-vendor.js';

describe('the limiter', () => {
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
