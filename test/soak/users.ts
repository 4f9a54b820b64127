import type { SessionInput, TurnInput, World } from '../../simulator/index.js';

/** What the policies of the soak allow, and how far from it its users stay or go. */
export const SOAK_LIMITS = { runtimeSeconds: 40, queueSeconds: 30, credits: 60 } as const;

export const SOAK_POLICIES = (exempt: readonly string[], until: string): string => `version: 1
policies:
  - name: runtime
    match: { not: { agents: [lab] } }
    limits: { max_runtime: ${SOAK_LIMITS.runtimeSeconds}s }
    warn_at: 75%
    mode: enforce
    caps: { max_cancels: 100000, max_percent: 100, per: 1h }
  - name: restless
    match: { agents: ['crowd-*'] }
    limits: { max_credits: ${SOAK_LIMITS.credits} }
    mode: enforce
    caps: { max_cancels: 100000, max_percent: 100, per: 1h }
    on_restart: { cancel: { max: 2 } }
  - name: queue
    match: { not: { agents: [lab] } }
    limits: { max_queue_time: ${SOAK_LIMITS.queueSeconds}s }
    mode: enforce
    caps: { max_cancels: 100000, max_percent: 100, per: 1h }
exempt:
${exempt.map((id) => `  - { session: ${id}, until: ${until}, reason: Must live }`).join('\n')}
`;

interface Habits {
  /** Of a hundred sessions. */
  readonly share: number;
  first(random: Random): Omit<SessionInput, 'agent' | 'id'>;
  next(random: Random): TurnInput;
  /** Time at rest before the next turn, s. */
  readonly rest: readonly [from: number, to: number];
  /** Steered this often while it runs, s. */
  readonly steers?: readonly [from: number, to: number];
  /** Pauses for an approval after, and for, so many seconds. */
  readonly pauses?: readonly [after: number, lasts: number];
}

type Random = () => number;
const between = (random: Random, from: number, to: number): number => from + random() * (to - from);
const seconds = (random: Random, from: number, to: number): number => Math.round(1_000 * between(random, from, to));
const ENDLESS: TurnInput = { runsFor: null };

const HABITS = {
  endless: {
    share: 20,
    first: (random) => ({ turnAge: seconds(random, 0, 30) }),
    next: (random) => (random() < 0.6 ? ENDLESS : { runsFor: seconds(random, 3, 25) }),
    rest: [5, 40],
  },
  healthy: {
    share: 29,
    first: (random) => ({ turnAge: seconds(random, 0, 5), runsFor: seconds(random, 3, 25) }),
    next: (random) => ({ runsFor: seconds(random, 3, 25) }),
    rest: [2, 20],
  },
  steered: {
    share: 8,
    first: (random) => ({ runsFor: seconds(random, 60, 110) }),
    next: (random) => ({ runsFor: seconds(random, 60, 110) }),
    rest: [5, 20],
    steers: [10, 22],
  },
  waiting: {
    share: 12,
    first: (random) => ({ state: 'queued', turnAge: seconds(random, 0, 20) }),
    next: (random) =>
      random() < 0.5
        ? { leavesQueue: 'never', ...ENDLESS }
        : { leavesQueue: seconds(random, 3, 15), runsFor: seconds(random, 3, 20) },
    rest: [5, 30],
  },
  spending: {
    share: 10,
    first: () => ({ usagePerSecond: { credits: 3, inputTokens: 1_000, outputTokens: 100 } }),
    next: (random) => (random() < 0.5 ? ENDLESS : { runsFor: seconds(random, 4, 14) }),
    rest: [5, 30],
  },
  restarting: {
    share: 8,
    first: (random) => ({ turnAge: seconds(random, 0, 20), queuedMessages: 1 }),
    next: () => ENDLESS,
    rest: [10, 40],
  },
  approved: {
    share: 5,
    first: (random) => ({ runsFor: seconds(random, 15, 30) }),
    next: (random) => ({ runsFor: seconds(random, 15, 30) }),
    rest: [5, 20],
    pauses: [6, 30],
  },
  resumed: {
    share: 5,
    first: (random) => ({
      age: '90d',
      earlierTurns: 30,
      usageBefore: { credits: 4_000, inputTokens: 9_000_000, outputTokens: 800_000 },
      turnAge: seconds(random, 0, 5),
      runsFor: seconds(random, 5, 25),
    }),
    next: (random) => ({ runsFor: seconds(random, 5, 25) }),
    rest: [5, 30],
  },
  exempt: { share: 3, first: (random) => ({ turnAge: seconds(random, 0, 60) }), next: () => ENDLESS, rest: [5, 10] },
} satisfies Record<string, Habits>;

type Role = keyof typeof HABITS;

interface User {
  readonly sessionId: string;
  readonly habits: Habits;
  /** Of the next thing to do, the world's clock, ms; null: not decided. */
  dueAt: number | null;
  lastState: string;
}

/** People and programs who use the agents: turns begin and end, are steered, queued, paused and resumed all the time. */
export interface Users {
  readonly sessionIds: readonly string[];
  readonly exempt: readonly string[];
  /** Does what is due. */
  tick(): void;
  /** How often something of a kind was done. */
  readonly done: Readonly<Record<string, number>>;
}

const LAB_EVERY = 10;

/**
 * Peoples a world: agents, one of which (`lab`) no policy is about, and their sessions in every role.
 *
 * @param random - the same sequence makes the same people
 */
export function peopleWorld(world: World, agents: number, sessions: number, random: Random): Users {
  for (let index = 0; index < agents; index++) {
    world.addAgent({ id: `agent_${index}`, name: index === agents - 1 ? 'lab' : `crowd-${index}` });
  }
  const roles = rolesFor(sessions);
  const users = roles.map((role, index): User => {
    const sessionId = `${role}-${index}`;
    // One in ten is of the agent that nobody watches; the exempt ones are all watched.
    const isLab = role !== 'exempt' && index % LAB_EVERY === 0;
    const agent = `agent_${isLab ? agents - 1 : index % (agents - 1)}`;
    const habits: Habits = HABITS[role];
    world.addSession({ id: sessionId, agent, ...habits.first(random) });
    return { sessionId, habits, dueAt: null, lastState: '' };
  });
  const done = { turn: 0, steer: 0, pause: 0, approve: 0, queue: 0 };
  return {
    sessionIds: users.map(({ sessionId }) => sessionId),
    exempt: users.filter(({ habits }) => habits === HABITS.exempt).map(({ sessionId }) => sessionId),
    tick: () => {
      for (const user of users) act(world, user, random, done);
    },
    done,
  };
}

function rolesFor(sessions: number): Role[] {
  const names = Object.keys(HABITS) as Role[];
  const roles = names.flatMap((name) =>
    Array<Role>(Math.max(1, Math.round((HABITS[name].share * sessions) / 100))).fill(name),
  );
  while (roles.length < sessions) roles.push('healthy');
  return roles.slice(0, sessions);
}

function act(world: World, user: User, random: Random, done: Record<string, number>): void {
  const { sessionId, habits } = user;
  const now = world.now();
  const { state, queuedMessages } = world.session(sessionId);
  if (state !== user.lastState) {
    user.lastState = state;
    const wait = waitIn(state, habits, random);
    user.dueAt = wait === null ? null : now + wait;
  }
  if (user.dueAt === null || now < user.dueAt) return;
  user.dueAt = null;
  const count = (what: string): void => void (done[what] = (done[what] ?? 0) + 1);
  if (state === 'completed' || state === 'failed') {
    world.startTurn(sessionId, habits.next(random));
    count('turn');
    if (habits === HABITS.restarting && queuedMessages === 0) {
      world.queueMessage(sessionId, 'And once more.');
      count('queue');
    }
  } else if (state === 'approval_required') {
    world.approve(sessionId);
    count('approve');
  } else if (state === 'processing' && habits.steers !== undefined) {
    world.steer(sessionId);
    count('steer');
    user.dueAt = now + seconds(random, ...habits.steers);
  } else if (state === 'processing' && habits.pauses !== undefined) {
    world.requireApproval(sessionId);
    count('pause');
  }
}

/** @returns ms; null: nothing is to be done in this state */
function waitIn(state: string, { rest, steers, pauses }: Habits, random: Random): number | null {
  if (state === 'completed' || state === 'failed') return seconds(random, ...rest);
  if (state === 'approval_required') return (pauses?.[1] ?? 10) * 1_000;
  if (state !== 'processing') return null;
  if (steers !== undefined) return seconds(random, ...steers);
  return pauses === undefined ? null : pauses[0] * 1_000;
}
