import { describe, expect, it, jest } from '@jest/globals';
import { keep } from '../src/platform/keep.js';

const logger = () => ({ info: jest.fn(), warn: jest.fn() });

/** Passes that end as they are told to, until all have been; then the signal is given. */
function keeping(passes: readonly (() => Promise<void>)[], firstAfterMs?: number) {
  const [log, stopping] = [logger(), new AbortController()];
  const left = [...passes];
  const pass = async (): Promise<void> => {
    const next = left.shift();
    if (left.length === 0) stopping.abort();
    await next?.();
  };
  const options = { log, signal: stopping.signal, ...(firstAfterMs === undefined ? {} : { firstAfterMs }) };
  return { log, stopping, left, kept: keep('do it', 1, pass, options) };
}
const works = () => Promise.resolve();
const fails = () => Promise.reject(new Error('away'));

describe('a background loop', () => {
  it('logs a failure once until a pass works again, and goes on', async () => {
    const { log, kept } = keeping([fails, fails, works, fails, works, works]);
    await kept;
    const failed = [{ err: new Error('away') }, 'could not do it; trying again every 0.001s'];
    expect(log.warn.mock.calls).toEqual([failed, failed]);
    expect(log.info.mock.calls).toEqual([['works again: do it'], ['works again: do it']]);
  });

  it('says nothing of a pass that fails because of the stop', async () => {
    const { log, kept } = keeping([works, fails]);
    await kept;
    expect(log.warn).not.toHaveBeenCalled();
  });

  it('never does two passes at once, and the stop waits for the one under way', async () => {
    let finish: () => void = () => {};
    let begun: () => void = () => {};
    const hasBegun = new Promise<void>((resolve) => (begun = resolve));
    const { kept } = keeping([
      () => {
        begun();
        return new Promise((resolve) => (finish = resolve));
      },
    ]);
    await hasBegun;
    let over = false;
    void kept.then(() => (over = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(over).toBe(false);
    finish();
    await kept;
  });

  it('ends at once while it waits', async () => {
    const { left, stopping, kept } = keeping([works], 600_000);
    stopping.abort();
    await kept;
    expect(left).toHaveLength(1);
  });
});
