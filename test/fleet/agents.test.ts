import { beforeEach, describe, expect, it } from '@jest/globals';
import { listVisibleAgents, type AgentsWanted, type Earlier } from '../../src/adapters/vendor/agents.js';
import type { AgentsDependencies } from '../../src/adapters/vendor/listing.js';
import { SessionsError, type Agent, type SessionsErrorKind } from '../../src/adapters/vendor/index.js';

const agent = (id: string, teamId: string | null = null): Agent => ({
  ...{ id, name: id, teamId, creatorId: null, isActive: true },
});
interface Failure {
  readonly fails: SessionsErrorKind;
  readonly status?: number;
  readonly code?: string;
}
type Reply<T> = readonly T[] | Failure | { readonly items: readonly T[]; readonly thenFails: SessionsErrorKind };
const OWN = 'own';

/** A vendor whose lists answer as they are set. A team without a list is not found. */
class Vendor {
  teamId: string | null = null;
  teams: Reply<{ id: string; name: string | null }> = [];
  readonly lists: Record<string, Reply<Agent>> = { [OWN]: [agent('mine')] };
  /** Teams whose lists were asked for, and `teams`, in order. */
  asked: string[] = [];
  #turns = 0;

  readonly deps = (): AgentsDependencies => ({
    sessions: {
      teamId: this.teamId,
      listTeams: async ({ cursor } = {}) => {
        const { items, nextCursor } = await this.#answer('teams', this.teams, cursor);
        return answered({ teams: items, nextCursor, unreadable: 0 });
      },
      listAgents: async ({ teamId = this.teamId ?? OWN, cursor } = {}) => {
        const reply = this.lists[teamId] ?? { fails: 'not-found' as const, status: 404 };
        const { items, nextCursor } = await this.#answer(teamId, reply, cursor);
        return answered({ agents: items, nextCursor, unreadable: 0 });
      },
    },
    limiter: {
      acquire: () => {
        this.#turns += 1;
        return Promise.resolve();
      },
      held: () => null,
    },
  });

  async #answer<T>(what: string, reply: Reply<T>, cursor: string | undefined) {
    if ((this.#turns -= 1) < 0) throw new Error('a request left without a turn');
    this.asked.push(what);
    await new Promise((resolve) => setImmediate(resolve));
    const failed = (kind: SessionsErrorKind, more: { status?: number; code?: string } = {}): SessionsError =>
      new SessionsError(kind, { operation: what === 'teams' ? 'listTeams' : 'listAgents', ...more });
    if ('fails' in reply) throw failed(reply.fails, reply);
    if ('items' in reply) {
      if (cursor !== undefined) throw failed(reply.thenFails);
      return { items: reply.items, nextCursor: 'next' };
    }
    return { items: reply, nextCursor: null };
  }
}

const answered = <T>(value: T) => ({ value, status: 200, serverDateMs: null, sentAt: 0, receivedAt: 0 });
const ALL: AgentsWanted = { own: true, shownTeams: true, named: [], concerns: () => true };
const team = (id: string) => ({ id, name: id.toUpperCase() });

describe('all agents that a key shows', () => {
  let vendor: Vendor;
  beforeEach(() => {
    vendor = new Vendor();
    vendor.teams = [team('t1'), team('t2')];
    vendor.lists['t1'] = [agent('a1', 't1'), agent('a2')];
    vendor.lists['t2'] = [agent('b1', 't2')];
  });
  const look = (wanted: Partial<AgentsWanted> = {}, earlier?: Earlier) => {
    vendor.asked = [];
    return listVisibleAgents(vendor.deps(), { ...ALL, ...wanted }, earlier);
  };
  const teamOf = ({ agents }: { agents: readonly Agent[] }) =>
    Object.fromEntries(agents.map(({ id, teamId }) => [id, teamId]));
  const again = (seen: Awaited<ReturnType<typeof look>>, onlyFailed = false): Earlier => ({
    ...{ seen, teams: [], onlyFailed },
  });

  it('are its own and those of each of its teams, whether an agent repeats its team or not', async () => {
    const seen = await look();
    expect(teamOf(seen)).toEqual({ mine: null, a1: 't1', a2: 't1', b1: 't2' });
    expect(seen).toMatchObject({ complete: true, problems: [], refused: null, mayRecover: false });
    expect(seen.teams).toEqual({
      source: 'listed',
      problem: null,
      seen: [
        { id: 't1', name: 'T1', agents: 2 },
        { id: 't2', name: 'T2', agents: 1 },
      ],
      ...{ unreadable: [], notShown: [], notConcerned: 0 },
    });
    expect(vendor.asked).toEqual([OWN, 'teams', 't1', 't2']);
  });

  it('hold an agent of several lists once, with the team that it says itself', async () => {
    vendor.lists[OWN] = [agent('mine'), agent('a1')];
    vendor.lists['t2'] = [agent('b1'), agent('a1')];
    expect(teamOf(await look())).toEqual({ mine: null, a1: 't1', a2: 't1', b1: 't2' });
  });

  it('I5: say no team of an agent that two teams list, and that says none', async () => {
    vendor.lists['t2'] = [agent('a2')];
    expect(teamOf(await look())).toMatchObject({ a2: null });
    vendor.lists['t2'] = [agent('a1', 't2')];
    expect(teamOf(await look())).toMatchObject({ a1: null });
  });

  it('leave out teams that nothing can be about, without a request', async () => {
    const seen = await look({ concerns: (id) => id === 't2' });
    expect(teamOf(seen)).toEqual({ mine: null, b1: 't2' });
    expect(seen.teams).toMatchObject({ seen: [{ id: 't2' }], notConcerned: 1, notShown: [] });
    expect(vendor.asked).toEqual([OWN, 'teams', 't2']);
  });

  describe('of a team that is named', () => {
    it('are asked for although the vendor does not show the team', async () => {
      vendor.lists['t3'] = [agent('c1')];
      const seen = await look({ named: ['t3', 't1'] });
      expect(teamOf(seen)).toMatchObject({ c1: 't3' });
      expect(seen.teams).toMatchObject({ seen: [{ id: 't1' }, { id: 't2' }, { id: 't3', name: null }], notShown: [] });
      expect(seen.complete).toBe(true);
    });

    it.each<[string, Reply<Agent>, string]>([
      ['is refused', { fails: 'forbidden', status: 403 }, '403'],
      ['is not found', { fails: 'not-found', status: 404 }, '404'],
      ['is no team', { fails: 'bad-request', status: 400 }, '400'],
      ['is refused as if by the account', { fails: 'account-forbidden', status: 403, code: 'policy_denied' }, 'policy'],
      ['is refused as if the key were wrong', { fails: 'unauthorized', status: 401 }, '401'],
      ['is empty', [], 'empty'],
    ])('are said not to be shown when its list %s; that makes nothing incomplete', async (_how, reply, problem) => {
      vendor.lists['t3'] = reply;
      const seen = await look({ named: ['t3'] });
      expect(seen.teams.notShown).toEqual([
        { id: 't3', name: null, problem: expect.stringMatching(new RegExp(`^the caller is not in it.*${problem}`)) },
      ]);
      expect(seen).toMatchObject({ complete: true, refused: null, teams: { unreadable: [] } });
    });

    it('are said not to be shown when it is only excluded: nobody asks for them, and a misspelt id is told', async () => {
      const seen = await look({ named: ['t9', 't1'], concerns: (id) => id !== 't9' && id !== 't1' });
      expect(seen.teams.notShown).toEqual([{ id: 't9', name: null, problem: 'the caller is not in it' }]);
      expect(vendor.asked).toEqual([OWN, 'teams', 't2']);
    });

    it('I5: are incomplete when its list fails', async () => {
      vendor.lists['t3'] = { fails: 'server-error', status: 503 };
      const seen = await look({ named: ['t3'] });
      expect(seen).toMatchObject({ complete: false, mayRecover: true, teams: { notShown: [] } });
      expect(seen.teams.unreadable).toMatchObject([{ id: 't3', problem: expect.stringContaining('503') }]);
    });
  });

  describe('of a team whose list fails', () => {
    it.each<[SessionsErrorKind, boolean]>([
      ['server-error', true],
      ['connection-lost', true],
      ['timeout', false],
      ['forbidden', false],
      ['not-found', false],
    ])('I5: stay as they were seen last (%s), and the other lists go on', async (fails, mayRecover) => {
      const before = await look();
      vendor.lists['t1'] = { fails };
      vendor.lists['t2'] = [agent('b2', 't2')];
      const seen = await look({}, again(before));
      expect(teamOf(seen)).toEqual({ mine: null, a1: 't1', a2: 't1', b2: 't2' });
      expect(seen).toMatchObject({ complete: false, mayRecover, refused: null });
      expect(seen.problems).toEqual([expect.stringMatching(/^the agents of team T1: listAgents/)]);
      expect(seen.teams.unreadable).toMatchObject([{ id: 't1', name: 'T1' }]);
      expect(seen.teams.seen).toMatchObject([{ id: 't2', agents: 1 }]);

      vendor.lists['t1'] = [agent('a1', 't1')];
      expect(teamOf(await look({}, again(seen)))).toEqual({ mine: null, a1: 't1', b2: 't2' });
    });

    it('I5: hold what came before a page failed, and what was known', async () => {
      const before = await look();
      vendor.lists['t1'] = { items: [agent('a1'), agent('a3')], thenFails: 'server-error' };
      expect(teamOf(await look({}, again(before)))).toMatchObject({ a1: 't1', a2: 't1', a3: 't1' });
    });

    it('are dropped when the vendor says both that the caller is not in it, and that its list is not for it', async () => {
      const before = await look({ named: ['t1'] });
      vendor.teams = [team('t2')];
      vendor.lists['t1'] = { fails: 'forbidden', status: 403 };
      const seen = await look({ named: ['t1'] }, again(before));
      expect(teamOf(seen)).toEqual({ mine: null, b1: 't2' });
      expect(seen).toMatchObject({ complete: true, teams: { notShown: [{ id: 't1' }] } });
    });

    it('are asked for again by themselves, and soon only where that may help', async () => {
      vendor.lists['t1'] = { fails: 'server-error' };
      vendor.lists['t2'] = { fails: 'forbidden' };
      const seen = await look();
      const retried = await look({}, again(seen, true));
      expect(vendor.asked).toEqual(['t1']);
      expect(retried.problems).toEqual(seen.problems);
      vendor.lists['t1'] = [agent('a1', 't1')];
      expect(await look({}, again(retried, true))).toMatchObject({ complete: false, mayRecover: false });
      await look({}, again(retried));
      expect(vendor.asked).toEqual([OWN, 'teams', 't1', 't2']);
    });
  });

  describe('when the list of teams', () => {
    it.each([404, 405, 501])(
      'is nothing that the server knows (%s), are those of teams that are named',
      async (status) => {
        vendor.teams = {
          fails: status === 501 ? 'server-error' : status === 404 ? 'not-found' : 'bad-request',
          status,
        };
        vendor.lists['t3'] = { fails: 'forbidden', status: 403 };
        const seen = await look({ named: ['t1', 't3'] });
        expect(teamOf(seen)).toEqual({ mine: null, a1: 't1', a2: 't1' });
        expect(seen).toMatchObject({ complete: true, mayRecover: false });
        expect(seen.teams).toMatchObject({ source: 'none-in-api', problem: null, notShown: [{ id: 't3' }] });
      },
    );

    it('is not in the plan, are the own ones, and nothing is missing', async () => {
      vendor.teams = { fails: 'account-forbidden', status: 403, code: 'tier_required_enterprise' };
      const seen = await look();
      expect(seen).toMatchObject({ complete: true, refused: null, teams: { source: 'not-in-plan' } });
      expect(teamOf(seen)).toEqual({ mine: null });
    });

    it('I5: was there, and is not found any more, are still those of the teams of then', async () => {
      const before = await look();
      vendor.teams = { fails: 'not-found', status: 404 };
      expect(teamOf(await look({}, again(before)))).toEqual(teamOf(before));
    });

    it.each<[Failure, boolean]>([
      [{ fails: 'server-error', status: 503 }, true],
      [{ fails: 'timeout' }, false],
      [{ fails: 'unreadable', status: 200 }, true],
      [{ fails: 'forbidden', status: 403 }, false],
      [{ fails: 'account-forbidden', status: 403, code: 'policy_denied' }, false],
      [{ fails: 'unauthorized', status: 401 }, false],
    ])(
      'I5: fails (%o), are incomplete, and those of the teams known before are still listed',
      async (failure, soon) => {
        const before = await look();
        vendor.teams = failure;
        vendor.lists['t2'] = [agent('b2', 't2')];
        const seen = await look({}, again(before));
        expect(teamOf(seen)).toEqual({ mine: null, a1: 't1', a2: 't1', b2: 't2' });
        expect(seen).toMatchObject({ complete: false, refused: null, mayRecover: soon, teams: { source: 'failed' } });
        expect(seen.problems).toEqual([expect.stringMatching(/^the list of teams: listTeams/)]);

        // A process that has just begun knows teams by their agents alone.
        const anew = await look({}, { seen: null, teams: ['t2'], onlyFailed: false });
        expect(teamOf(anew)).toEqual({ mine: null, b2: 't2' });
      },
    );

    it('has pages, are those of the teams of all pages', async () => {
      vendor.teams = { items: [team('t1')], thenFails: 'server-error' };
      const seen = await look();
      expect(seen).toMatchObject({ complete: false, teams: { source: 'failed', seen: [{ id: 't1' }] } });
    });
  });

  describe('when the account is refused or held back', () => {
    it('are not asked for any further after the first list', async () => {
      vendor.lists[OWN] = { fails: 'unauthorized', status: 401 };
      const seen = await look();
      expect(seen.refused).toMatchObject({ kind: 'unauthorized' });
      expect(vendor.asked).toEqual([OWN]);
      expect(seen.own).toMatchObject({ complete: false });
    });

    it('I5: are those known before after a 429, without a request more', async () => {
      const before = await look();
      vendor.lists[OWN] = { fails: 'rate-limited', status: 429 };
      const seen = await look({}, again(before));
      expect(vendor.asked).toEqual([OWN]);
      expect(teamOf(seen)).toEqual(teamOf(before));
      expect(seen).toMatchObject({ complete: false, refused: null, mayRecover: true });
      expect(seen.teams.unreadable).toHaveLength(2);
    });

    it('are refused without a list of the own ones, too, when nothing is answered', async () => {
      for (const id of ['t1', 't2']) vendor.lists[id] = { fails: 'account-forbidden', status: 403 };
      const seen = await look({ own: false, shownTeams: false, named: ['t1', 't2'] });
      expect(seen.refused).toMatchObject({ kind: 'account-forbidden' });
      expect(vendor.asked).toEqual(['t1', 't2']);
    });
  });

  describe('with the key of one team', () => {
    beforeEach(() => {
      vendor.teamId = 't1';
    });

    it('are those of this team; the list of teams is not asked for', async () => {
      const seen = await look({ concerns: () => false });
      expect(teamOf(seen)).toEqual({ a1: 't1', a2: 't1' });
      expect(vendor.asked).toEqual(['t1']);
      expect(seen).toMatchObject({ complete: true, own: { complete: true } });
      expect(seen.teams).toMatchObject({ source: 'one-team', seen: [{ id: 't1', agents: 2 }], notShown: [] });
    });

    it('are never asked for with another team: that could look like a wrong key', async () => {
      const seen = await look({ named: ['t2', 't1'] });
      expect(vendor.asked).toEqual(['t1']);
      expect(seen.teams.notShown).toEqual([{ id: 't2', name: null, problem: expect.stringContaining('t1') }]);
      expect(await look({ own: false, shownTeams: false, named: ['t2'] })).toMatchObject({
        agents: [],
        complete: true,
      });
      expect(vendor.asked).toEqual([]);
    });

    it('I5: are incomplete when its list fails', async () => {
      const before = await look();
      vendor.lists['t1'] = { fails: 'server-error', status: 503 };
      const seen = await look({}, again(before));
      expect(seen).toMatchObject({ complete: false, own: { complete: false }, mayRecover: true });
      expect(teamOf(seen)).toEqual({ a1: 't1', a2: 't1' });
      expect(seen.problems).toHaveLength(1);
    });
  });
});
