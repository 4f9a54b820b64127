import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { BulkFleet } from './bulk-fleet.js';
import { agentIdOf, indexOf, sessionIdOf } from './bulk-ids.js';

/** What the vendor prints when it is ready. */
export interface BulkVendorReady {
  /** Base URL of the API. */
  readonly url: string;
  readonly controlUrl: string;
  readonly agents: number;
  readonly sessions: number;
}

/** Answer to `GET /control/counts`. */
export interface BulkVendorCounts {
  readonly requests: {
    readonly listTeams: number;
    readonly listAgents: number;
    readonly listSessions: number;
    readonly retrieveSession: number;
    readonly cancelSession: number;
    /** Answered with 404 or 400, whatever they asked for. */
    readonly refused: number;
  };
  /** Sessions that got a cancel request. */
  readonly ended: number;
  /** Those that got more than one. */
  readonly cancelledAgain: number;
  /** From the first cancel request to the one that ended the last session so far, ms; null: none came. */
  readonly sendingMs: number | null;
}

const HOUR_MS = 3_600_000;
const MAX_PAGE = 100;

/** A thousand and more live connections, each idle at times: none is closed under a request. */
const IDLE_CONNECTION_MS = 300_000;

/**
 * The vendor, as lean as it can be, for benches of throughput: what it costs takes CPU from what is measured. Each session's
 * turn began an hour before the start. Prints one line of JSON when it is ready.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      agents: { type: 'string', default: '100' },
      sessions: { type: 'string', default: '20000' },
      port: { type: 'string', default: '0' },
    },
  });
  const fleet = new BulkFleet(count(values.agents, 'agents', 1), count(values.sessions, 'sessions', 0));
  const server = createServer({ keepAliveTimeout: IDLE_CONNECTION_MS, requestTimeout: 0 }, answersOf(fleet));
  server.listen(count(values.port, 'port', 0), '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ready: BulkVendorReady = {
    url: `${origin}/api/v1`,
    controlUrl: `${origin}/control`,
    agents: fleet.agents,
    sessions: fleet.sessions,
  };
  console.log(JSON.stringify(ready));
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  server.close();
  server.closeAllConnections();
}

function count(text: string, name: string, min: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > 100_000_000) {
    throw new RangeError(`--${name} is a whole number from ${min}, not ${text}.`);
  }
  return value;
}

/** Texts that hold no value of a session are made once: building JSON from objects costs several times as much. */
function answersOf(fleet: BulkFleet): (request: IncomingMessage, response: ServerResponse) => void {
  const requests = { listTeams: 0, listAgents: 0, listSessions: 0, retrieveSession: 0, cancelSession: 0, refused: 0 };
  let firstCancelAt: number | null = null;
  let lastEndAt = 0;
  const startedAt = new Date(Date.now() - HOUR_MS).toISOString();
  const creator = {
    id: 'bench_user',
    first_name: 'Bench',
    last_name: 'User',
    email: 'bench_user@example.com',
    profile_picture: null,
  };
  const usage = {
    credit_cost: null,
    tool_credit_cost: null,
    flow_credit_cost: null,
    input_tokens: null,
    cached_input_tokens: null,
    cache_write_input_tokens: null,
    output_tokens: null,
    reasoning_tokens: null,
  };
  const nameOf = (agent: number): string => `Bench agent ${agent}`;
  const withoutBraces = (fields: object): string => JSON.stringify(fields).slice(1, -1);

  const ofEverySession = withoutBraces({ name: null, type: 'api', created_at: startedAt, creator, usage });
  const ofRetrieved = withoutBraces({
    agent_team_id: null,
    agent_creator_user_id: creator.id,
    agent_icon_url: null,
    agent_tools: [],
    participants: { [creator.id]: { first_name: creator.first_name, last_name: creator.last_name } },
    pending_approvals: [],
  });
  const ofMessage = withoutBraces({
    role: 'user',
    created_at: startedAt,
    content: 'Please do this.',
    creator_id: creator.id,
    parts: null,
  });
  const ofCancelled = withoutBraces({
    messages: [],
    created_at: null,
    state: 'failed',
    agent_name: null,
    agent_team_id: null,
    agent_creator_user_id: null,
    agent_icon_url: null,
    agent_tools: [],
    participants: {},
    creator: null,
  });

  /** Fields that a list item and the whole session have in common. */
  function common(index: number): string {
    const agent = fleet.agentOf(index);
    const state = fleet.isLive(index) ? 'processing' : 'failed';
    return `"id":"${sessionIdOf(index)}","agent_id":"${agentIdOf(agent)}","agent_name":"${nameOf(agent)}","state":"${state}",${ofEverySession}`;
  }

  function agentItem(index: number): string {
    return JSON.stringify({
      id: agentIdOf(index),
      name: nameOf(index),
      description: null,
      team_id: null,
      is_active: true,
      model_name: 'auto',
      system_prompt: null,
      tools: [],
      resources: [],
      skill_ids: null,
      metadata: {},
      folder_id: null,
      type: 'agent',
      created_at: startedAt,
      active_trigger_count: 0,
      creator,
      last_used_at: startedAt,
      last_updated_at: startedAt,
    });
  }

  function agentsPage(query: URLSearchParams): string | null {
    // As the vendor does: without a word about pages, everything.
    const whole = !query.has('page_size') && !query.has('cursor');
    const first = cursorIn(query, 0, fleet.agents);
    const size = whole ? fleet.agents : sizeIn(query);
    if (first === null || size === null) return null;
    const end = Math.min(first + size, fleet.agents);
    const items = Array.from({ length: end - first }, (_, i) => agentItem(first + i));
    return page('agents', items, end < fleet.agents ? end : null);
  }

  function sessionsPage(agent: number, query: URLSearchParams): string | null {
    const [first, end] = fleet.rangeOf(agent);
    const from = cursorIn(query, first, end);
    const size = sizeIn(query);
    if (from === null || size === null) return null;
    const state = query.get('state');
    const items: string[] = [];
    let at = fleet.nextIn(state, from, end);
    while (at < end && items.length < size) {
      items.push(`{${common(at)},"messages":[]}`);
      at = fleet.nextIn(state, at + 1, end);
    }
    return page('sessions', items, at < end ? at : null);
  }

  function session(index: number): string {
    const message = `{"id":"msg_${index}",${ofMessage}}`;
    return `{"session":{${common(index)},${ofRetrieved},"messages":[${message}]},"queue_position":null}`;
  }

  function cancelled(index: number): string {
    const agent = agentIdOf(fleet.agentOf(index));
    return `{"session":{"id":"${sessionIdOf(index)}","agent_id":"${agent}",${ofCancelled}},"queue_position":null}`;
  }

  const isSession = (index: number): boolean => index >= 0 && index < fleet.sessions;
  const isAgent = (index: number): boolean => index >= 0 && index < fleet.agents;

  function counts(): string {
    const { ended, cancelledAgain } = fleet;
    const sendingMs = firstCancelAt === null ? null : lastEndAt - firstCancelAt;
    return JSON.stringify({ requests, ended, cancelledAgain, sendingMs } satisfies BulkVendorCounts);
  }

  return (request, response) => {
    const { method, url = '' } = request;
    const mark = url.indexOf('?');
    const path = (mark < 0 ? url : url.slice(0, mark)).split('/');
    const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
    const [, root = '', , kind = '', id = '', what] = path;
    const index = indexOf(id);

    if (method === 'POST' && kind === 'sessions' && what === 'cancel' && isSession(index)) {
      requests.cancelSession += 1;
      firstCancelAt ??= performance.now();
      // After the whole request has come, as a server that reads its body does.
      request.resume().once('end', () => {
        if (fleet.isLive(index)) lastEndAt = performance.now();
        fleet.cancel(index);
        send(response, 200, cancelled(index));
      });
    } else if (method === 'GET' && kind === 'sessions' && what === undefined && isSession(index)) {
      requests.retrieveSession += 1;
      send(response, 200, session(index));
    } else if (method === 'GET' && kind === 'agents' && what === 'sessions' && isAgent(index)) {
      requests.listSessions += 1;
      sendPage(response, sessionsPage(index, query));
    } else if (method === 'GET' && kind === 'agents' && id === '') {
      requests.listAgents += 1;
      sendPage(response, agentsPage(query));
    } else if (method === 'GET' && kind === 'teams') {
      requests.listTeams += 1;
      send(response, 200, '{"teams":[]}');
    } else if (method === 'GET' && root === 'control' && path[2] === 'counts') {
      send(response, 200, counts());
    } else {
      requests.refused += 1;
      request.resume();
      send(response, 404, errorBody('not_found', 'No such session, agent or path.'));
    }
  };

  function sendPage(response: ServerResponse, text: string | null): void {
    if (text !== null) return send(response, 200, text);
    requests.refused += 1;
    send(response, 400, errorBody('invalid_request_error', 'Unusable page size or cursor.'));
  }
}

/** Node adds the `Date` header. */
function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

const page = (name: string, items: readonly string[], next: number | null): string =>
  `{"${name}":[${items.join(',')}],"next_cursor":${next === null ? 'null' : `"${next}"`}}`;

const errorBody = (code: string, message: string): string =>
  JSON.stringify({ error: { code, type: 'api_error', message, param: null } });

/** @returns null when it is no page size */
function sizeIn(query: URLSearchParams): number | null {
  const size = Number(query.get('page_size') ?? 20);
  return Number.isInteger(size) && size >= 1 && size <= MAX_PAGE ? size : null;
}

/** @returns the index to go on at; null when the cursor is none of this list's */
function cursorIn(query: URLSearchParams, first: number, end: number): number | null {
  const at = Number(query.get('cursor') ?? first);
  return Number.isInteger(at) && at >= first && at <= end ? at : null;
}

await main();
