import { beforeEach, describe, expect, it } from '@jest/globals';
import { listAgents, listLive, type ListingDependencies } from '../../src/adapters/vendor/listing.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import {
  SessionsError,
  type Agent,
  type Answer,
  type ListSessionsOptions,
  type Session,
  type SessionsErrorKind,
} from '../../src/adapters/vendor/index.js';
import { transcriptOf } from '../../src/core/policy/turn.js';

const T0 = Date.UTC(2026, 0, 5, 9, 0, 0);
/** Each call takes so long. */
const CALL_MS = 1_000;

const session = (id: string, state: string | null): Session => ({
  id,
  agentId: 'agent_a',
  agentName: 'Support',
  name: null,
  type: 'api',
  state,
  createdAtMs: null,
  transcript: transcriptOf([]),
  usage: null,
  creatorId: 'user_1',
  creatorEmail: null,
  teamId: null,
  triggerId: null,
  queuePosition: null,
});
const agent = (id: string, name = id): Agent => ({ id, name, teamId: null, creatorId: null, isActive: true });

interface Page {
  readonly ids?: readonly string[];
  readonly next?: string | null;
  readonly unreadable?: number;
  /** Seen in this state; default the one that was asked for. */
  readonly state?: string | null;
  readonly date?: boolean;
  readonly fails?: SessionsErrorKind;
  readonly retryAfterMs?: number;
}

/** A vendor that answers as told: by state, page after page. Its clock shows {@link T0} when ours shows 0. */
class Vendor {
  monotonic = 0;
  readonly asked: ListSessionsOptions[] = [];
  acquired = 0;
  readonly deps: ListingDependencies;

  constructor(private readonly pages: Partial<Record<string, (call: number) => Page>>) {
    this.deps = {
      sessions: {
        teamId: null,
        listTeams: (options = {}) =>
          this.#answer('teams', { ...options, state: 'teams' }, (page) => ({
            teams: (page.ids ?? []).map((id) => ({ id, name: null })),
          })),
        listAgents: (options = {}) =>
          this.#answer('agents', options, (page) => ({ agents: (page.ids ?? []).map((id) => agent(id)) })),
        listSessions: (_agentId, options = {}) =>
          this.#answer(options.state ?? '', options, (page) => ({
            sessions: (page.ids ?? []).map((id) =>
              session(id, page.state === undefined ? (options.state ?? null) : page.state),
            ),
          })),
      },
      limiter: {
        acquire: () => {
          this.acquired += 1;
          return Promise.resolve();
        },
        held: () => null,
      },
      vendorClock: createVendorClock({ monotonic: () => this.monotonic, wall: () => T0 + this.monotonic }),
    };
  }

  async #answer<T>(
    list: string,
    options: ListSessionsOptions,
    content: (page: Page) => T,
  ): Promise<Answer<T & { nextCursor: string | null; unreadable: number }>> {
    const call = this.asked.filter(({ state = 'agents' }) => state === list).length;
    this.asked.push(options);
    if (this.acquired !== this.asked.length) throw new Error('a request left without a turn');
    const page = this.pages[list]?.(call) ?? {};
    const sentAt = this.monotonic;
    await Promise.resolve();
    this.monotonic += CALL_MS;
    if (page.fails !== undefined) {
      const retryAfterMs = page.retryAfterMs ?? null;
      throw new SessionsError(page.fails, { operation: 'listSessions', subject: 'agent_a', retryAfterMs });
    }
    const value = { ...content(page), nextCursor: page.next ?? null, unreadable: page.unreadable ?? 0 };
    // Written half-way.
    const serverDateMs = page.date === false ? null : Math.floor((T0 + sentAt + CALL_MS / 2) / 1_000) * 1_000;
    return { value, status: 200, serverDateMs, sentAt, receivedAt: this.monotonic };
  }
}

/** Pages in a row; each but the last names the next. */
const inPages =
  (...pages: readonly Page[]) =>
  (call: number): Page => ({
    next: call < pages.length - 1 ? `cursor-${call + 1}` : null,
    ...pages[call],
  });
const idsOf = ({ items }: { items: readonly { session: Session }[] }): string[] =>
  items.map(({ session: { id } }) => id).sort();

describe('a list of live sessions', () => {
  const live = (vendor: Vendor) => listLive(vendor.deps, 'agent_a');

  it('is read page by page, each with the cursor of the one before, for each live state', async () => {
    const vendor = new Vendor({
      processing: inPages({ ids: ['a', 'b'] }, { ids: ['c'] }, { ids: ['d'] }),
      queued: inPages({ ids: ['e'] }, { ids: [] }),
    });
    const listing = await live(vendor);
    expect(idsOf(listing)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(listing).toMatchObject({ complete: true, problem: null, error: null });
    expect(vendor.asked).toEqual([
      { state: 'queued', pageSize: 100 },
      { state: 'queued', pageSize: 100, cursor: 'cursor-1' },
      { state: 'processing', pageSize: 100 },
      { state: 'processing', pageSize: 100, cursor: 'cursor-1' },
      { state: 'processing', pageSize: 100, cursor: 'cursor-2' },
    ]);
  });

  it('can be empty, and is complete all the same', async () => {
    expect(await live(new Vendor({}))).toMatchObject({ items: [], complete: true, problem: null });
  });

  it('tells when each page was asked for, by the vendor’s clock, and when the first one was', async () => {
    const vendor = new Vendor({ queued: inPages({ ids: ['a'] }, { ids: ['b'] }), processing: inPages({ ids: ['c'] }) });
    vendor.monotonic = 5_000;
    const listing = await live(vendor);
    const at = new Map(listing.items.map(({ session: { id }, atMs }) => [id, atMs]));
    // Never later than it was, and not two seconds too early.
    for (const [id, sentAt] of [
      ['a', 5_000],
      ['b', 6_000],
      ['c', 7_000],
    ] as const) {
      expect(at.get(id)).toBeLessThanOrEqual(T0 + sentAt);
      expect(at.get(id)).toBeGreaterThan(T0 + sentAt - 2_000);
    }
    expect(listing.atMs).toBe(at.get('a'));
  });

  it('holds a session once that came twice, as it was seen last', async () => {
    const onTwoPages = new Vendor({ processing: inPages({ ids: ['a', 'b'] }, { ids: ['b', 'c'] }) });
    const twice = await live(onTwoPages);
    expect(idsOf(twice)).toEqual(['a', 'b', 'c']);
    const [a, b, c] = ['a', 'b', 'c'].map((id) => twice.items.find((item) => item.session.id === id)?.atMs);
    expect(b).toBe(c);
    expect(b).toBeGreaterThan(a ?? NaN);

    const inBothStates = new Vendor({ queued: inPages({ ids: ['a'] }), processing: inPages({ ids: ['a'] }) });
    expect((await live(inBothStates)).items).toMatchObject([{ session: { id: 'a', state: 'processing' } }]);
  });

  it('misses no turn that leaves the queue while it is read: those that wait are asked for first', async () => {
    let state = 'queued';
    const showing = (asked: string) => (): Page => {
      const page = { ids: state === asked ? ['a'] : [] };
      state = 'processing';
      return page;
    };
    const vendor = new Vendor({ queued: showing('queued'), processing: showing('processing') });
    expect((await live(vendor)).items).toMatchObject([{ session: { id: 'a', state: 'processing' } }]);
  });

  it('keeps what an item says of its state, also when that is odd', async () => {
    const vendor = new Vendor({
      processing: inPages({ ids: ['a'], state: null }),
      queued: inPages({ ids: ['b'], state: 'x' }),
    });
    const states = new Map((await live(vendor)).items.map((item) => [item.session.id, item.session.state]));
    expect(states).toEqual(
      new Map([
        ['a', null],
        ['b', 'x'],
      ]),
    );
  });

  it.each<SessionsErrorKind>(['server-error', 'timeout', 'connection-lost', 'unreadable', 'not-found', 'unauthorized'])(
    'I5: is incomplete when a later page fails (%s), holds what was there so far, and asks for no more',
    async (fails) => {
      const vendor = new Vendor({
        queued: inPages({ ids: ['a'] }, { fails }, { ids: ['never'] }),
        processing: inPages({ ids: ['never'] }),
      });
      const listing = await live(vendor);
      expect(idsOf(listing)).toEqual(['a']);
      expect(listing.complete).toBe(false);
      expect(listing.error).toMatchObject({ kind: fails });
      expect(listing.problem).toBe(listing.error?.message);
      expect(listing.atMs).toBeLessThanOrEqual(T0);
      expect(vendor.asked).toHaveLength(2);
    },
  );

  it('I5: is incomplete and empty when the first page fails', async () => {
    const vendor = new Vendor({ queued: inPages({ fails: 'server-error' }) });
    expect(await live(vendor)).toMatchObject({ items: [], complete: false, atMs: null });
  });

  it('is incomplete when that is 429', async () => {
    const vendor = new Vendor({ processing: inPages({ ids: ['a'] }, { fails: 'rate-limited', retryAfterMs: 7_000 }) });
    expect(await live(vendor)).toMatchObject({ complete: false, error: { kind: 'rate-limited' } });
  });

  it.each([
    ['the same cursor for ever', () => ({ ids: ['a'], next: 'again' })],
    ['two cursors in turn', (call: number) => ({ ids: [`a${call % 2}`], next: `cursor-${call % 2}` })],
  ])('I5: ends, incomplete, when the vendor gives %s', async (_what, page) => {
    const vendor = new Vendor({ queued: page, processing: inPages({ ids: ['b'] }) });
    const listing = await live(vendor);
    expect(listing).toMatchObject({ complete: false, error: null, problem: expect.stringContaining('same cursor') });
    expect(vendor.asked.length).toBeLessThan(6);
    // The other list is a list of its own.
    expect(idsOf(listing)).toContain('b');
  });

  it('I5: ends, incomplete, when the vendor gives a new cursor for ever', async () => {
    const vendor = new Vendor({ processing: (call) => ({ ids: [`s-${call}`], next: `cursor-${call}` }) });
    const listing = await live(vendor);
    expect(listing).toMatchObject({ complete: false, problem: expect.stringContaining('1000 pages') });
    expect(listing.items).toHaveLength(1_000);
  });

  it('I5: ends, incomplete, after 100,000 items, however many of them a page holds', async () => {
    let sent = 0;
    const page = (call: number): Page => {
      const ids = Array.from({ length: 1_000 }, (_, index) => `s${call}-${index}`);
      sent += ids.length;
      return { ids, next: `cursor-${call}` };
    };
    const listing = await listLive(new Vendor({ queued: page, processing: () => ({}) }).deps, 'agent_a');
    expect(listing).toMatchObject({ complete: false, error: null });
    expect(listing.problem).toContain('does not end');
    expect(sent).toBe(100_000);
  });

  it('I5: is incomplete when items can’t be read, and holds all others of both states', async () => {
    const vendor = new Vendor({
      queued: inPages({ ids: ['a'], unreadable: 1 }, { ids: ['b'], unreadable: 2 }),
      processing: inPages({ ids: ['c'] }),
    });
    const listing = await live(vendor);
    expect(idsOf(listing)).toEqual(['a', 'b', 'c']);
    expect(listing).toMatchObject({ complete: false, error: null, problem: '3 items of the list could not be read' });
  });

  describe('without a Date header', () => {
    it('I5: is incomplete, because nothing in it can be timed', async () => {
      const undated = inPages({ ids: ['a'], date: false });
      const listing = await live(new Vendor({ queued: undated, processing: undated }));
      expect(listing).toMatchObject({ items: [], atMs: null, complete: false, error: null });
      expect(listing.problem).toMatch(/Date header/);
    });

    it('I5: is incomplete when only its first page could not be timed', async () => {
      const vendor = new Vendor({
        processing: inPages({ ids: ['a'], date: false }, { ids: ['b'] }),
        queued: inPages({ date: false }),
      });
      const listing = await live(vendor);
      expect(idsOf(listing)).toEqual(['b']);
      expect(listing).toMatchObject({ complete: false, problem: expect.stringMatching(/Date header/) });
    });

    it('goes by earlier answers where there were any', async () => {
      const vendor = new Vendor({ queued: inPages({ ids: ['a'] }), processing: inPages({ ids: ['b'], date: false }) });
      expect(await live(vendor)).toMatchObject({ complete: true, items: [{}, {}] });
    });
  });

  it('passes on what is not the vendor’s failure', async () => {
    const vendor = new Vendor({
      queued: () => {
        throw new TypeError('a fault of ours');
      },
    });
    await expect(live(vendor)).rejects.toThrow('a fault of ours');
  });
});

describe('a list of agents', () => {
  let vendor: Vendor;
  beforeEach(() => {
    vendor = new Vendor({ agents: inPages({ ids: ['a', 'b'] }, { ids: ['b', 'c'] }) });
  });

  it('is read page by page, and holds each agent once', async () => {
    const listing = await listAgents(vendor.deps);
    expect(listing).toEqual({
      items: ['a', 'b', 'c'].map((id) => agent(id)),
      complete: true,
      problem: null,
      error: null,
    });
    expect(vendor.asked).toEqual([{ pageSize: 100 }, { pageSize: 100, cursor: 'cursor-1' }]);
  });

  it('needs no Date header', async () => {
    vendor = new Vendor({ agents: inPages({ ids: ['a'], date: false }) });
    expect(await listAgents(vendor.deps)).toMatchObject({ complete: true, items: [{ id: 'a' }] });
  });

  it.each<[string, (call: number) => Page]>([
    ['a page fails', inPages({ ids: ['a'] }, { fails: 'server-error' })],
    ['an agent can’t be read', inPages({ ids: ['a'], unreadable: 1 })],
    ['it does not end', () => ({ ids: ['a'], next: 'again' })],
  ])('I5: is incomplete when %s', async (_when, agents) => {
    const listing = await listAgents(new Vendor({ agents }).deps);
    expect(listing).toMatchObject({ complete: false, items: [{ id: 'a' }], problem: expect.any(String) });
  });
});
