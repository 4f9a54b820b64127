import { honouredMs, retryAfterMs } from '../../core/policy/backoff.js';
import { meaningOf } from '../../core/policy/meaning.js';
import { SessionsError } from '../../adapters/vendor/index.js';
import type { Conditions } from './conditions.js';
import { confirmByList, confirmByRead } from './confirm.js';
import type { RunContext, Unconfirmed } from './dependencies.js';
import type { Endings } from './endings.js';
import type { Tasks } from '../../platform/tasks.js';
import { planList, type AgentGroup } from './waiting-room.js';
import { settleMs } from '../../core/policy/timing.js';

const LISTS_AT_ONCE = 4;
const READS_AT_ONCE = 16;
/** A list that failed is asked for again after so long per failure, ms; after some times it is given up for reads. */
const LIST_RETRY_MS = 2_000;
const MOST_LISTS_FAILED = 3;
const MOST_READS_FAILED = 8;

interface Looking {
  readonly item: Unconfirmed;
  /** Monotonic, ms. */
  readonly dueAt: number;
  readonly failures: number;
}

/** Sees that turns ended: by lists where these tell, by reads where only those do. */
export class Confirming {
  readonly #run: RunContext;
  readonly #tasks: Tasks;
  readonly #conditions: Conditions;
  readonly #endings: Endings;
  readonly #groups = new Map<string, AgentGroup>();
  #looks: Looking[] = [];
  #listing = 0;
  #reading = 0;

  constructor(run: RunContext, tasks: Tasks, conditions: Conditions, endings: Endings) {
    this.#run = run;
    this.#tasks = tasks;
    this.#conditions = conditions;
    this.#endings = endings;
  }

  /** Nothing waits to be looked at. What is being looked at is a task. */
  get isEmpty(): boolean {
    return this.#looks.length === 0 && [...this.#groups.values()].every(({ items }) => items.length === 0);
  }

  await(item: Unconfirmed): void {
    const { agentId } = item;
    if (item.byList === null || agentId === null) {
      const { timing } = this.#run;
      const isMissing = item.sightings.at(-1)?.missing === true;
      this.#lookLater(item, isMissing ? timing.missingGapMs : settleMs(timing), 0);
      return;
    }
    const group = this.#groups.get(agentId);
    if (group !== undefined) group.items.push(item);
    else this.#groups.set(agentId, { ...this.#newGroup(agentId), items: [item] });
  }

  /** Begins what is due. @param agentAtWork - more of its targets are still to come; null: of none */
  begin(agentAtWork: string | null): void {
    if (!this.#conditions.mayRead && this.#run.job().state === 'running') return;
    const nowMs = this.#run.clock.monotonic();
    this.#beginLists(nowMs, agentAtWork);
    this.#beginReads(nowMs);
  }

  #newGroup(agentId: string): AgentGroup {
    const planned = this.#run.job().totals?.byAgent.find((agent) => agent.agentId === agentId)?.targets ?? 0;
    const pages = Math.max(2, Math.ceil(planned / 100));
    return { agentId, items: [], pages, looking: false, failures: 0, notBefore: -Infinity };
  }

  #lookLater(item: Unconfirmed, afterMs: number, failures: number): void {
    this.#looks.push({ item, dueAt: this.#run.clock.monotonic() + afterMs, failures });
  }

  #beginLists(nowMs: number, agentAtWork: string | null): void {
    const settledAfterMs = settleMs(this.#run.timing);
    for (const group of this.#groups.values()) {
      if (this.#listing >= LISTS_AT_ONCE) return;
      const plan = planList(group, nowMs, settledAfterMs, group.agentId === agentAtWork);
      if (plan.kind === 'wait') continue;
      // The plan takes the oldest ones.
      group.items = group.items.slice(plan.items.length);
      if (plan.kind === 'read') {
        for (const item of plan.items) this.#lookLater(item, 0, 0);
        continue;
      }
      group.looking = true;
      this.#listing += 1;
      this.#tasks.begin(async () => {
        try {
          await this.#lookAtLists(group, plan.items);
        } finally {
          group.looking = false;
          this.#listing -= 1;
        }
      });
    }
  }

  async #lookAtLists(group: AgentGroup, items: readonly Unconfirmed[]): Promise<void> {
    const look = await confirmByList(this.#run, group.agentId, items);
    const { pages, problem, confirmed, listed, unsettled } = look;
    group.pages = pages;
    if (problem === null) {
      group.failures = 0;
      this.#conditions.works();
      for (const settled of confirmed) this.#endings.settleConfirmed(settled);
      for (const item of listed) this.#lookLater(item, 0, 0);
      putBack(group, unsettled);
      return;
    }
    if (problem instanceof SessionsError) {
      if (problem.kind === 'rate-limited') this.#conditions.tooFast(problem);
      else if (problem.accountWide) await this.#conditions.concernsAccount(problem);
    }
    group.failures += 1;
    group.notBefore = this.#run.clock.monotonic() + LIST_RETRY_MS * group.failures;
    if (group.failures < MOST_LISTS_FAILED) putBack(group, items);
    else for (const item of items) this.#lookLater(item, 0, 0);
  }

  #beginReads(nowMs: number): void {
    const most = this.#conditions.oneAtATime ? 1 : READS_AT_ONCE;
    if (this.#reading >= most || this.#looks.length === 0) return;
    const due: Looking[] = [];
    this.#looks = this.#looks.filter((look) => {
      if (look.dueAt > nowMs || this.#reading + due.length >= most) return true;
      due.push(look);
      return false;
    });
    for (const look of due) {
      this.#reading += 1;
      this.#tasks.begin(async () => {
        try {
          await this.#read(look);
        } finally {
          this.#reading -= 1;
        }
      });
    }
  }

  async #read({ item, failures }: Looking): Promise<void> {
    try {
      const confirmed = await confirmByRead(this.#run, item);
      this.#conditions.works();
      switch (confirmed.kind) {
        case 'settled':
          this.#endings.settleConfirmed(confirmed);
          break;
        case 'look-again':
          this.#lookLater(confirmed.item, confirmed.afterMs, 0);
          break;
        case 'hand-over':
          await this.#endings.handOver(item.target, item.from, confirmed.turn, item.agentId, null);
          break;
      }
    } catch (error) {
      if (!(error instanceof SessionsError)) throw error;
      await this.#readFailed(item, failures, error);
    }
  }

  async #readFailed(item: Unconfirmed, failures: number, error: SessionsError): Promise<void> {
    const { timing, random } = this.#run;
    const meaning = meaningOf(error, await this.#conditions.concernsAccount(error));
    if (meaning.kind === 'too-many') {
      this.#conditions.tooFast(error);
      this.#lookLater(item, Math.max(honouredMs(error), timing.heldRetryMs), failures);
    } else if (meaning.kind === 'account') {
      this.#lookLater(item, timing.heldRetryMs, failures);
    } else if (failures + 1 < MOST_READS_FAILED) {
      this.#lookLater(item, retryAfterMs(error, failures + 1, timing.retryCapMs, random()), failures + 1);
    } else {
      await this.#endings.handOver(item.target, item.from, item.turn, item.agentId, error);
    }
  }
}

/** They are older than those that came meanwhile. */
function putBack(group: AgentGroup, items: readonly Unconfirmed[]): void {
  group.items = [...items, ...group.items];
}
