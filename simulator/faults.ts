import {
  faultSchema,
  isFormFault,
  type AnswerFault,
  type Fault,
  type FaultInput,
  type FormFault,
  type Operation,
  type StaleReads,
  type TurnFault,
} from './fault-schema.js';

/** Where a fault strikes: one session, one agent with its sessions, the list of one team's agents, or everywhere. */
export type Scope =
  { readonly sessionId: string } | { readonly agentId: string } | { readonly teamId: string } | 'everywhere';

/** Whom a request is about. */
export interface Target {
  readonly sessionId?: string | undefined;
  readonly agentId?: string | undefined;
  /** Team whose agents are listed. */
  readonly teamId?: string | undefined;
}

/** What strikes one request: at most one deed, and any number of faults of form. */
export interface Strike {
  readonly deed: AnswerFault | TurnFault | null;
  readonly form: readonly FormFault[];
}

type Counted = Exclude<Fault, StaleReads>;

interface Armed {
  readonly fault: Counted;
  left: number;
}

interface Staleness {
  readonly lag: number;
  readonly until: number;
}

/**
 * The faults that are set, per scope. A request meets the first matching deed of its session, else of its agent, else of
 * everywhere, and all matching faults of form. Each is used up after its `times`.
 */
export class FaultBook {
  readonly #armed = new Map<string, Armed[]>();
  readonly #stale = new Map<string, Staleness>();

  constructor(private readonly random: () => number) {}

  /** Puts further faults behind those that are set. @throws {z.ZodError} when one is not well-formed */
  add(scope: Scope, faults: readonly FaultInput[], now: number): void {
    const key = keyOf(scope);
    // All are checked before any is set.
    for (const fault of faults.map((input) => faultSchema.parse(input))) {
      if (fault.fault === 'stale-reads') {
        this.#stale.set(key, { lag: fault.lag, until: fault.lasts === 'forever' ? Infinity : now + fault.lasts });
      } else {
        const list = this.#armed.get(key) ?? [];
        list.push({ fault, left: fault.times === 'forever' ? Infinity : fault.times });
        this.#armed.set(key, list);
      }
    }
  }

  /** Removes the faults of one scope; without a scope, all. */
  clear(scope?: Scope): void {
    if (scope === undefined) {
      this.#armed.clear();
      this.#stale.clear();
    } else {
      this.#armed.delete(keyOf(scope));
      this.#stale.delete(keyOf(scope));
    }
  }

  /** What strikes this request; counts it. */
  strike(operation: Operation, target: Target): Strike {
    let deed: AnswerFault | TurnFault | null = null;
    const form: FormFault[] = [];
    for (const armed of this.#matching(operation, scopesOf(target))) {
      const { fault } = armed;
      if (isFormFault(fault)) {
        if (this.#fires(armed)) form.push(fault);
      } else if (deed === null && this.#fires(armed)) {
        deed = fault;
      }
    }
    return { deed, form };
  }

  /** Faults of form that are set on a session itself and strike its item in a list. */
  strikeItem(sessionId: string): readonly FormFault[] {
    const form: FormFault[] = [];
    for (const armed of this.#matching('list', [`session ${sessionId}`])) {
      if (isFormFault(armed.fault) && this.#fires(armed)) form.push(armed.fault);
    }
    return form;
  }

  /** How old the view is that reads get, ms; 0 for the truth. */
  lag(target: Target, now: number): number {
    if (this.#stale.size === 0) return 0;
    for (const key of scopesOf(target)) {
      const stale = this.#stale.get(key);
      if (stale !== undefined && now < stale.until) return stale.lag;
    }
    return 0;
  }

  *#matching(operation: Operation, scopes: readonly string[]): Iterable<Armed> {
    for (const scope of scopes) {
      for (const armed of this.#armed.get(scope) ?? []) {
        const matches = armed.fault.on === 'any' || armed.fault.on === operation;
        if (matches && armed.left > 0) yield armed;
      }
    }
  }

  #fires(armed: Armed): boolean {
    if (armed.fault.probability < 1 && this.random() >= armed.fault.probability) return false;
    armed.left -= 1;
    return true;
  }
}

function keyOf(scope: Scope): string {
  if (scope === 'everywhere') return 'everywhere';
  if ('teamId' in scope) return `team ${scope.teamId}`;
  return 'sessionId' in scope ? `session ${scope.sessionId}` : `agent ${scope.agentId}`;
}

function scopesOf({ sessionId, agentId, teamId }: Target): string[] {
  const scopes: string[] = [];
  if (sessionId !== undefined) scopes.push(`session ${sessionId}`);
  if (agentId !== undefined) scopes.push(`agent ${agentId}`);
  if (teamId !== undefined) scopes.push(`team ${teamId}`);
  scopes.push('everywhere');
  return scopes;
}
