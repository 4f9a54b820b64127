import { afterEach, describe, expect, it } from '@jest/globals';
import { VENDOR_BOUNDS } from '../../src/core/bounds.js';
import { listLive } from '../../src/adapters/vendor/listing.js';
import { createVendorClock } from '../../src/adapters/vendor/vendor-clock.js';
import { SessionsError } from '../../src/adapters/vendor/index.js';
import { sessionReader } from '../../src/adapters/vendor/wire.js';
import { FREE_LIMITER } from '../support/free-limiter.js';
import { failureOf, Started } from './support.js';

const started = new Started();
afterEach(() => started.stop());

const CLOCK = { monotonic: () => performance.now(), wall: () => Date.now() };
const MIB = 1024 * 1024;

/** A server whose answer goes on until it is given up, or is over; `sent` counts its bytes. */
async function endless(head: string, part: string, most: number): Promise<{ origin: string; sent: () => number }> {
  let sent = 0;
  const parts = part.repeat(Math.ceil(4096 / part.length));
  const { origin } = await started.http((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write(head);
    const more = (): void => {
      while (!response.destroyed && sent < most) {
        sent += parts.length;
        if (!response.write(parts)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  return { origin, sent: () => sent };
}

const items = (count: number): unknown[] => Array.from({ length: count }, (_, index) => ({ id: `s${index}` }));

describe('the page of a list', () => {
  it.each([
    ['empty objects', '{},'],
    ['numbers', '0,'],
    ['texts', '"",'],
    ['sessions', '{"id":"sess_1","state":"queued"},'],
  ])('S5: with far more items than asked for is not even parsed: %s', async (_title, part) => {
    // Not JSON, which the parser would say.
    const body = `{"next_cursor":null,"sessions":[${part.repeat((7 * MIB) / part.length)}`;
    const { origin } = await started.http((_request, response) => response.end(body));
    const error = await failureOf(started.client(origin).listSessions('agent_1', { pageSize: 100 }));
    expect(error).toMatchObject({ kind: 'unreadable', operation: 'listSessions' });
    expect(error.message).toContain('more than 200000 values');
  });

  it('S5: may have ten times the items asked for, and not one more', async () => {
    for (const [pageSize, most] of [
      [1, 10],
      [100, 1_000],
      [undefined, VENDOR_BOUNDS.unpagedItems.most],
    ] as const) {
      const options = pageSize === undefined ? {} : { pageSize };
      const full = await started.json(200, { sessions: items(most), next_cursor: null });
      expect((await started.client(full.origin).listSessions('agent_1', options)).value.sessions).toHaveLength(most);
      const over = await started.json(200, { sessions: items(most + 1), next_cursor: null });
      expect((await failureOf(started.client(over.origin).listSessions('agent_1', options))).kind).toBe('unreadable');
    }
  });

  it('S5: counts the items of the list alone, whatever stands in texts and inside of items', async () => {
    const odd = {
      id: 'sess_1',
      name: '"[{,,,,]}\\" \u00e9\\\\',
      x: Array(2_000).fill([{}, ',[{', '\\"', 'a long text, with signs: []{},,\\\\']),
      creator: { id: 'u' },
    };
    const { origin } = await started.json(200, { other: Array(5).fill('a,b'), sessions: [odd, odd] });
    const { value } = await started.client(origin).listSessions('agent_1', { pageSize: 1 });
    expect(value.sessions).toMatchObject([{ id: 'sess_1', creatorId: 'u' }, { id: 'sess_1' }]);
  });

  it('S5: of more than 8 MiB is unreadable, and reading stops there', async () => {
    const { origin, sent } = await endless('{"sessions":[{"id":"sess_1","name":"', 'x', 64 * MIB);
    const error = await failureOf(started.client(origin).listSessions('agent_1', { pageSize: 100 }));
    expect(error).toMatchObject({ kind: 'unreadable' });
    expect(error.message).toContain('too large');
    expect(sent()).toBeLessThan(24 * MIB);
  });

  it.each([
    ['values', '[],', 'more than 200000 values'],
    ['nested lists', '[', 'nested too deeply'],
    ['nested objects', '{"a":', 'nested too deeply'],
  ])('S5: with one item of far too many %s is not even parsed', async (_title, part, why) => {
    const body = `{"sessions":[{"id":"sess_1","x":[${part.repeat(part === '[],' ? 200_000 : 100_000)}`;
    const { origin } = await started.http((_request, response) => response.end(body));
    expect((await failureOf(started.client(origin).listSessions('agent_1', { pageSize: 100 }))).message).toContain(why);
  });

  it.each(['listAgents', 'listTeams', 'listTriggers', 'listQueue'] as const)(
    'S5: of %s is bounded too',
    async (list) => {
      const field = { listAgents: 'agents', listTeams: 'teams', listTriggers: 'triggers', listQueue: 'queue' }[list];
      const { origin } = await started.json(200, { [field]: items(VENDOR_BOUNDS.unpagedItems.most + 1) });
      const client = started.client(origin);
      const asked = {
        listAgents: () => client.listAgents({ pageSize: 100 }),
        listTeams: () => client.listTeams(),
        listTriggers: () => client.listTriggers('agent_1'),
        listQueue: () => client.listQueue('sess_1'),
      }[list];
      expect((await failureOf(asked())).message).toMatch(/more than (1000|10000) items/);
    },
  );

  it('S5: with a cursor that fits into no request is unreadable', async () => {
    const { origin } = await started.json(200, { sessions: [], next_cursor: 'c'.repeat(2_001) });
    expect((await failureOf(started.client(origin).listSessions('agent_1'))).kind).toBe('unreadable');
  });

  it('S5: makes a hole with its reason in the scan of one agent, and in no other', async () => {
    const { origin } = await started.http(({ url }, response) => {
      const sessions = url.includes('agent_bad') ? items(5_000) : items(3);
      response.end(JSON.stringify({ sessions, next_cursor: null }));
    });
    const sessions = started.client(origin);
    const deps = { sessions, limiter: FREE_LIMITER, vendorClock: createVendorClock(CLOCK) };
    expect(await listLive(deps, 'agent_bad')).toMatchObject({
      complete: false,
      problem: expect.stringContaining('more than 1000 items, though 100 were asked for') as unknown as string,
      error: expect.any(SessionsError) as unknown as SessionsError,
    });
    expect(await listLive(deps, 'agent_good')).toMatchObject({ complete: true, problem: null });
  });
});

describe('nesting', () => {
  const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

  it('S5: is bounded in a list and in a session', async () => {
    const deep = nested(40_000);
    const list = await started.http((_request, response) => response.end(`{"sessions":[],"x":${deep}}`));
    expect((await failureOf(started.client(list.origin).listSessions('agent_1'))).kind).toBe('unreadable');
    const reader = sessionReader('sess_1');
    expect(() => {
      reader.write(Buffer.from(`{"session":{"id":"sess_1","messages":[],"x":${deep}}}`));
      reader.end();
    }).toThrow();
  });

  it('may be as deep as tools nest', async () => {
    const { origin } = await started.http((_request, response) =>
      response.end(`{"sessions":[{"id":"sess_1","x":${nested(2_000)}}]}`),
    );
    expect((await started.client(origin).listSessions('agent_1')).value.sessions).toHaveLength(1);
  });
});
