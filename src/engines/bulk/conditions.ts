import { HeldError } from '../../adapters/vendor/hold.js';
import { backoffMs } from '../../core/policy/backoff.js';
import { SessionsError } from '../../adapters/vendor/index.js';
import { accountRetryMs } from '../cases/waits.js';
import type { RunContext } from './dependencies.js';
import type { Pace } from '../../core/pace.js';

/** So many failures in a row, and none that worked, may be about the API and not about a target. */
const API_AWAY = 10;
const LONGEST_HOLD_MS = 30_000;
/** A session is refused for its own sake when another one was accepted so short a time ago, ms. */
const ACCEPTED_LATELY_MS = 10 * 60_000;
/** How often the pause switch is read while it is on, ms. */
const SWITCH_LOOK_MS = 500;

/** What concerns all of a job and not one target: the vendor has enough, its API is away, it refuses the key, Curfew is paused. */
export class Conditions {
  readonly #run: RunContext;
  readonly #pace: Pace;
  /** The key was refused, and nothing has worked since. */
  #keyRefused = false;
  /** Failures of the API since something worked. */
  #troubles = 0;
  /** Monotonic, ms: when a cancel request was accepted last. */
  #acceptedAt = -Infinity;
  /** Monotonic, ms. */
  #holdUntil = -Infinity;
  #note: string | null = null;
  #noted: string | null = null;
  #switchedOff = false;

  constructor(run: RunContext, pace: Pace) {
    this.#run = run;
    this.#pace = pace;
  }

  /** Nothing is to be asked of the vendor for so long, ms; 0: it may be. */
  get holdMs(): number {
    return Math.max(0, this.#holdUntil - this.#run.clock.monotonic());
  }

  /** Reads may go on: while Curfew is paused it keeps looking. */
  get mayRead(): boolean {
    return this.#switchedOff || this.holdMs === 0;
  }

  get apiIsAway(): boolean {
    return this.#troubles >= API_AWAY;
  }

  /** While it is away, or refuses the key, one target at a time finds out when it is back. */
  get oneAtATime(): boolean {
    return this.apiIsAway || this.#keyRefused;
  }

  /** Something came through. */
  works(): void {
    this.#troubles = 0;
    this.#keyRefused = false;
  }

  /** Whether a cancel request was accepted after this moment, monotonic, ms. */
  acceptedSince(at: number): boolean {
    return this.#acceptedAt > at;
  }

  /** A cancel request was accepted. */
  accepted(): void {
    this.#acceptedAt = this.#run.clock.monotonic();
  }

  /** @param note - for people; left out: what is noted already stays so */
  hold(ms: number, note: string | null = this.#note): void {
    this.#holdUntil = Math.max(this.#holdUntil, this.#run.clock.monotonic() + ms);
    this.#note = note;
  }

  /** The vendor refused a request for its rate, or holds all of them back for that. */
  tooFast(error: SessionsError): void {
    if (error instanceof HeldError) this.hold(error.retryAfterMs, `Nothing is sent now: ${error.message}.`);
    else this.#pace.slowDown(this.#run.clock.monotonic());
  }

  /** Is it the API, or is it these targets? Some that always fail must not hold up the job. */
  async apiFailed(error: SessionsError): Promise<void> {
    this.#troubles += 1;
    if (!this.apiIsAway) return;
    try {
      await this.#run.sessions.listAgents({ pageSize: 1 });
      this.#troubles = 0;
      return;
    } catch (probe) {
      if (!(probe instanceof SessionsError)) throw probe;
    }
    const waitMs = backoffMs(this.#troubles - API_AWAY + 1, LONGEST_HOLD_MS, this.#run.random());
    this.hold(waitMs, `The vendor's API fails: ${error.message}. Trying again; nothing is lost.`);
  }

  /** A refused key concerns all: told once, and tried again now and then. @returns false: it is about this session, or a 429 */
  async concernsAccount(error: SessionsError): Promise<boolean> {
    if (error.kind === 'rate-limited') return false;
    const acceptedLately = this.#run.clock.monotonic() - this.#acceptedAt < ACCEPTED_LATELY_MS;
    const { kind } = error;
    if ((kind === 'forbidden' || kind === 'account-forbidden') && acceptedLately) return false;
    const concerns = await this.#run.account.concernsAccount(error);
    if (concerns === false) return false;
    if (concerns === true) {
      this.#keyRefused = true;
      await this.#run.account.refused(error);
    }
    const waitMs = concerns === true ? accountRetryMs(this.#run) : this.#run.timing.heldRetryMs;
    this.hold(waitMs, `The vendor refuses the key: ${error.message}.`);
    return true;
  }

  /** The pause switch of all of Curfew was met. */
  switchedOff(reason: string | null): void {
    this.#switchedOff = true;
    const why = reason === null ? '' : ` (${reason})`;
    this.hold(SWITCH_LOOK_MS, `Curfew is paused${why}; \`curfew resume\` lets it go on.`);
  }

  /** Reads the switch again when it is time, and leaves word in the ledger why nothing goes on. */
  async look(): Promise<void> {
    if (this.#switchedOff && this.holdMs === 0) {
      this.#switchedOff = (await this.#run.ledger.pauseSwitch.read()).paused;
      if (this.#switchedOff) this.hold(SWITCH_LOOK_MS);
    }
    const note = this.holdMs > 0 || this.apiIsAway ? this.#note : null;
    this.#note = note;
    if (note === this.#noted) return;
    this.#noted = note;
    await this.#run.ledger.bulkRun.step(this.#run.key, { step: 'note', note });
  }
}
