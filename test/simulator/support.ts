import { readFile } from 'node:fs/promises';
import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import { parse } from 'yaml';
import { startSimulator, type Simulator, type SimulatorOptions } from '../../simulator/index.js';

/** A clock that stands still until it is moved. */
export class Clock {
  constructor(public now = Date.parse('2026-11-20T12:00:00.000Z')) {}
  readonly read = (): number => this.now;
  advance(ms: number): void {
    this.now += ms;
  }
}

/** Waits for something that the other side of a socket does; the test's own limit ends it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

interface WireMessage {
  id: string;
  role: string;
  content: string | null;
  created_at: string | null;
  parts: object[];
}
interface WireSession {
  id: string;
  state: string;
  created_at: string;
  messages: WireMessage[];
  usage: { credit_cost: number };
}

/** Bodies of the vendor's API; a test knows which of these an answer has. */
interface Body {
  session: WireSession;
  sessions: WireSession[];
  teams: { id: string; name: string }[];
  agents: { id: string }[];
  next_cursor: string | null;
  queue: { id: string }[];
  queue_position: number | null;
  error: { code: string; type: string; message: string };
  minimum_tier: string;
}

/** Bodies of the control API. */
export interface ControlBody {
  id: string;
  turnKey: string;
  counts: object;
  sessions: object;
  requests: object;
  cancels: object[];
  error: { message: string };
}

export interface Reply<B = Body> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Null when the answer is no JSON; the compiler need not know. */
  readonly body: B;
}

export interface Call {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** A simulator with one agent, `agent_a`, and a client that holds the key. */
export class Bench {
  static async start(options: SimulatorOptions = {}): Promise<Bench> {
    const clock = new Clock();
    const simulator = await startSimulator({ now: clock.read, seed: 7, ...options });
    if (options.scenario === undefined) simulator.world.addAgent({ id: 'agent_a', name: 'Alpha' });
    return new Bench(simulator, clock);
  }

  private constructor(
    readonly simulator: Simulator,
    readonly clock: Clock,
  ) {}

  get world(): Simulator['world'] {
    return this.simulator.world;
  }

  /** Calls the vendor's API. */
  call(path: string, call: Call = {}): Promise<Reply> {
    const { apiKey, userId, url } = this.simulator;
    return request(`${url}${path}`, {
      ...call,
      headers: { authorization: `Bearer ${apiKey}`, 'x-auth-key': userId, ...call.headers },
    });
  }

  /** Calls the control API. */
  control(path: string, call: Call = {}): Promise<Reply<ControlBody>> {
    return request(`${this.simulator.controlUrl}${path}`, call);
  }

  retrieve(id: string): Promise<Reply> {
    return this.call(`/sessions/${id}`);
  }

  cancel(id: string, call: Call = {}): Promise<Reply> {
    return this.call(`/sessions/${id}/cancel`, { method: 'POST', body: {}, ...call });
  }

  close(): Promise<void> {
    return this.simulator.close();
  }
}

async function request<B>(url: string, { method = 'GET', body, headers = {}, signal }: Call): Promise<Reply<B>> {
  const response = await fetch(url, {
    method,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    redirect: 'manual',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: parsedOrNull(text) as B };
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

interface Operation {
  operationId: string;
  responses: Record<string, { $ref?: string }>;
}
interface OpenApi {
  paths: Record<string, Record<string, Operation>>;
}

/**
 * Checks answers against the API description. Its schemas are JSON Schema but for `nullable`, which ajv knows, so nothing needs
 * converting: the whole document is added under an id, and each answer's schema is compiled by reference into it.
 */
export class Contract {
  readonly #validators = new Map<string, ValidateFunction>();

  static async load(): Promise<Contract> {
    const text = await readFile(new URL('./gumloop-openapi.yaml', import.meta.url), 'utf8');
    return new Contract(parse(text) as OpenApi);
  }

  private constructor(private readonly document: OpenApi) {
    // Not strict: a whole API description has keywords that JSON Schema does not know.
    this.#ajv = new Ajv({ strict: false, allErrors: true });
    formats.default(this.#ajv);
    this.#ajv.addSchema(document, 'api');
  }

  readonly #ajv: Ajv;

  operationIds(): string[] {
    return this.#operations().map(({ operation }) => operation.operationId);
  }

  /** What is wrong with an answer; empty when it fits. */
  violations(operationId: string, reply: Reply): string[] {
    const schema = this.#schemaRef(operationId, reply.status);
    let validate = this.#validators.get(schema);
    if (validate === undefined) {
      validate = this.#ajv.compile({ $ref: `api${schema}` });
      this.#validators.set(schema, validate);
    }
    if (validate(reply.body)) return [];
    return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`);
  }

  #operations() {
    return Object.entries(this.document.paths).flatMap(([path, item]) =>
      Object.entries(item)
        .filter(([, operation]) => 'operationId' in operation)
        .map(([method, operation]) => ({ path, method, operation })),
    );
  }

  #schemaRef(operationId: string, status: number): string {
    const found = this.#operations().find(({ operation }) => operation.operationId === operationId);
    if (found === undefined) throw new Error(`The description has no operation ${operationId}`);
    const key = String(status) in found.operation.responses ? String(status) : 'default';
    const escaped = found.path.replaceAll('~', '~0').replaceAll('/', '~1');
    const response = found.operation.responses[key]?.$ref ?? `#/paths/${escaped}/${found.method}/responses/${key}`;
    // Braces of path parameters must be escaped in the fragment of a URI.
    return `${response}/content/application~1json/schema`.replaceAll('{', '%7B').replaceAll('}', '%7D');
  }
}
