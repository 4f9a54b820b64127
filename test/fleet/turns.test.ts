import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policy } from '../policy/observing.js';
import {
  BEGINNING,
  HOUR,
  MINUTE,
  openFleetHarness,
  SCAN_MS,
  SECOND,
  type FleetHarness,
  type Shown,
} from '../support/scripted-fleet.js';

let harness: FleetHarness;

beforeEach(async () => {
  harness = await openFleetHarness();
  harness.fleet.agent('agent-1');
});

afterEach(() => harness.close());

const DAY = 24 * HOUR;
const SESSION = 'session-1';
const at = (ms: number): number => BEGINNING + ms;
const messages = (...times: readonly number[]) => times.map((ms) => ({ id: `m@${ms}`, atMs: at(ms) }));
const rule = policy({ max_runtime: 10 * MINUTE, max_credits: 100 });

describe('an old conversation that is resumed', () => {
  const old = { createdAtMs: at(-30 * DAY), credits: 4_000 };

  it('lives, when it is in flight at first sight and its last message is young', async () => {
    harness.fleet.session(SESSION, { state: 'processing', messages: messages(-30 * DAY, -MINUTE), ...old });
    await harness.apply([rule]);
    await harness.process().run(8 * MINUTE);
    expect(await harness.orders()).toEqual([]);
  });

  it('lives, when it begins under watch, and is ended at the limit of its new turn', async () => {
    const begins = 40 * SECOND;
    harness.fleet.session(SESSION, (now): Shown =>
      now < at(begins)
        ? { state: 'completed', messages: messages(-30 * DAY), ...old }
        : { state: 'processing', messages: messages(-30 * DAY, begins), ...old },
    );
    await harness.apply([rule]);
    const process = harness.process();
    await process.run(begins + 10 * MINUTE);
    expect(await harness.orders()).toEqual([]);
    await process.run(MINUTE);
    expect(await harness.orders()).toMatchObject([{ turnKey: `m@${begins}` }]);
  });
});

describe('a new turn', () => {
  it('is not charged with the time and the credits of the one before, however short the rest between them', async () => {
    // Each turn runs 8 minutes and spends 80 of 100 credits; the rests are too short for scans to see.
    const turnMs = 8 * MINUTE;
    harness.fleet.session(SESSION, (now): Shown => {
      const turns = Math.floor((now - at(0)) / turnMs);
      const begun = Array.from({ length: turns + 1 }, (_, n) => n * turnMs);
      const isResting = (now - at(0)) % turnMs > turnMs - 3 * SECOND;
      const spent = ((now - at(0)) / turnMs) * 80;
      return { state: isResting ? 'completed' : 'processing', messages: messages(...begun), credits: spent };
    });
    await harness.apply([rule]);
    await harness.process().run(HOUR);
    expect(await harness.orders()).toEqual([]);
  });

  it('is not charged with them by a process that has slept through its beginning', async () => {
    const begins = 9 * MINUTE;
    harness.fleet.session(SESSION, (now): Shown =>
      now < at(begins)
        ? { state: 'processing', messages: messages(-30 * SECOND), credits: 90 }
        : { state: 'processing', messages: messages(-30 * SECOND, begins), credits: 90 + (now - at(begins)) / MINUTE },
    );
    await harness.apply([rule]);
    await harness.process().run(8 * MINUTE);
    harness.clock.advance(3 * MINUTE);
    await harness.process().run(7 * MINUTE);
    expect(await harness.orders()).toEqual([]);
  });

  it('has another order than the one before, each with its own turn', async () => {
    const life = (now: number): Shown => ({
      state: 'processing',
      messages: now < at(15 * MINUTE) ? messages(0) : messages(0, 15 * MINUTE),
    });
    harness.fleet.session(SESSION, life);
    await harness.apply([rule]);
    await harness.process().run(30 * MINUTE);
    expect((await harness.orders()).map(({ turnKey }) => turnKey)).toEqual(['m@0', `m@${15 * MINUTE}`]);
  });
});

describe('a steering message', () => {
  const everyFour = (now: number): Shown => ({
    state: 'processing',
    messages: messages(
      ...Array.from({ length: Math.floor((now - at(0)) / (4 * MINUTE)) + 1 }, (_, n) => n * 4 * MINUTE),
    ),
  });

  it('begins a turn of its own: its run time counts from the last one', async () => {
    harness.fleet.session(SESSION, everyFour);
    await harness.apply([rule]);
    await harness.process().run(HOUR);
    expect(await harness.orders()).toEqual([]);
  });

  it('does not stop the clock of unbroken run time', async () => {
    harness.fleet.session(SESSION, everyFour);
    await harness.apply([policy({ max_continuous_runtime: 20 * MINUTE })]);
    const process = harness.process();
    await process.run(20 * MINUTE - SECOND);
    expect(await harness.orders()).toEqual([]);
    await process.run(2 * SCAN_MS);
    expect(await harness.orders()).toMatchObject([{ turnKey: `m@${20 * MINUTE}` }]);
  });
});

describe('our own wall clock', () => {
  it.each([HOUR, -HOUR, 30 * DAY])('I5: jumps by %d ms, and condemns and spares nobody', async (jumpMs) => {
    const { fleet, clock } = harness;
    const begins = 40 * SECOND;
    fleet.session('watched', (now): Shown => ({
      state: now < at(begins) ? 'completed' : 'processing',
      messages: messages(begins),
    }));
    fleet.session('unwatched', { state: 'processing', messages: messages(-2 * MINUTE) });
    fleet.session('queued', { state: 'queued', messages: messages(-2 * MINUTE) });
    await harness.apply([
      policy({ max_runtime: 10 * MINUTE, max_queue_time: 10 * MINUTE, max_continuous_runtime: 12 * MINUTE }),
    ]);
    const process = harness.process();
    await process.run(3 * MINUTE);
    clock.setOurs(jumpMs);
    await process.run(4 * MINUTE);
    fleet.session('new', (now): Shown => ({
      state: 'processing',
      messages: [{ id: 'm@new', atMs: now - SECOND }].slice(0, now > 0 ? 1 : 0),
    }));
    expect(await harness.orders()).toEqual([]);
    fleet.lives.delete('new');
    await process.run(4 * MINUTE);
    expect((await harness.orders()).map(({ sessionId }) => sessionId).sort()).toEqual([
      'queued',
      'unwatched',
      'watched',
    ]);
  });
});
