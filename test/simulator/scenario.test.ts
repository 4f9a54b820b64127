import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FaultBook } from '../../simulator/faults.js';
import { defaultScenario, loadScenario, startSimulator } from '../../simulator/index.js';
import { seededRandom } from '../../simulator/random.js';
import { ExitCode, UserError } from '../../src/core/errors.js';

describe('scenario files', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'curfew-scenario-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const write = async (text: string) => {
    const file = path.join(folder, 'scenario.yaml');
    await writeFile(file, text);
    return file;
  };
  const refusal = async (text: string) => {
    const error: unknown = await loadScenario(await write(text)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).exitCode).toBe(ExitCode.usage);
    return (error as UserError).message;
  };

  it('set up agents, sessions by the dozen, and faults', async () => {
    const scenario = await loadScenario(
      await write(`
slots: 3
agents:
  - id: agent_x
    sessions:
      - { id: sess_x, turnAge: 50m, faults: [{ fault: failed-to-abort }] }
      - { id: sess_many, count: 12, state: queued, leavesQueue: slot }
faults:
  - { fault: rate-limited, on: agents }
`),
    );
    const simulator = await startSimulator({ scenario });
    const { world } = simulator;
    expect(world.session('sess_x').state).toBe('processing');
    expect(world.session('sess_many_2').state).toBe('processing');
    expect(world.session('sess_many_12').state).toBe('queued');
    expect(world.counts()).toMatchObject({ sessions: 13, processing: 3, queued: 10 });
    await simulator.close();
  });

  it('can be JSON', async () => {
    const scenario = await loadScenario(await write('{"agents":[{"id":"agent_j"}]}'));
    expect(scenario.agents).toMatchObject([{ id: 'agent_j', sessions: [] }]);
  });

  it('are refused with the place and the reason', async () => {
    expect(await refusal('slot: 3')).toMatch(/slot/);
    const session = (text: string) => `agents: [{ id: a, sessions: [${text}] }]`;
    expect(await refusal(session('{ state: busy }'))).toMatch(/agents\[0\]\.sessions\[0\]\.state/);
    expect(await refusal(session('{ turnAge: soon }'))).toMatch(/"soon" is not a duration/);
    expect(await refusal(session('{ turnAge: "50" }'))).toMatch(/"50" is not a duration/);
    expect(await refusal(session('{ agent: b }'))).toMatch(/leave it out/);
    expect(await refusal(session('{ queuedFor: 5m }'))).toMatch(/waited longer than its age/);
    expect(await refusal('faults: [{ fault: explode }]')).toMatch(/faults\[0\]/);
    expect(await refusal('agents: [')).toMatch(/neither YAML nor JSON/);
    await expect(loadScenario(path.join(folder, 'none.yaml'))).rejects.toThrow(/cannot be read/);
  });

  it('can let a share of all requests fail, as the documentation shows', async () => {
    const documentation = await readFile(new URL('../../docs/simulator-faults.md', import.meta.url), 'utf8');
    const example = /For a rough day.*?```yaml\n(.*?)```/s.exec(documentation)?.[1];
    const { faults } = await loadScenario(await write(example ?? ''));
    const book = new FaultBook(seededRandom(1));
    book.add('everywhere', faults, 0);
    const struck = new Map<string, number>();
    for (let request = 0; request < 20_000; request += 1) {
      const { deed } = book.strike('list', { agentId: 'agent_a' });
      if (deed !== null) struck.set(deed.fault, (struck.get(deed.fault) ?? 0) + 1);
    }
    const total = [...struck.values()].reduce((sum, count) => sum + count, 0);
    expect(total / 20_000).toBeGreaterThan(0.045);
    expect(total / 20_000).toBeLessThan(0.055);
    expect([...struck.keys()].sort()).toEqual([...new Set(faults.map(({ fault }) => fault))].sort());
  });

  it('have a built-in example with sessions in every state', async () => {
    const simulator = await startSimulator({ scenario: defaultScenario });
    const counts = simulator.world.counts();
    for (const state of ['idle', 'queued', 'processing', 'approval_required', 'completed', 'failed']) {
      expect(counts[state]).toBeGreaterThan(0);
    }
    await simulator.close();
  });
});
