import { afterEach, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const BENCH = fileURLToPath(new URL('../../bench/enforcement.ts', import.meta.url));
/** A hang limit, ms: the run itself takes about 90 s. */
const HANG_MS = 240_000;

interface Document {
  readonly goals: Readonly<Record<string, { readonly measured: number | null; readonly met: boolean | null }>>;
  readonly curfew: {
    readonly liveSessions: number;
    readonly burst: { readonly turns: number; readonly asked: number; readonly untilAllAskedMs: number | null } | null;
    readonly requestsPerViolator: { readonly violators: number; readonly mean: number | null };
    readonly violators: { readonly total: number; readonly asked: number; readonly early: number };
    readonly innocentsTouched: number;
    readonly windows: Readonly<Record<string, { readonly requestsPerSessionHour: { readonly list: number } } | null>>;
    readonly ledger: { readonly outcomes: Readonly<Record<string, number>> };
    readonly temporal: { readonly casesOnInnocents: number; readonly executions: Readonly<Record<string, number>> };
  };
  readonly naive: null;
}

let bench: ChildProcess | undefined;

async function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  bench = spawn(process.execPath, ['--import', 'tsx', BENCH, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  bench.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  bench.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(bench, 'close')) as [number | null];
  return { code, stdout, stderr };
}

afterEach(() => void bench?.kill('SIGTERM'));

describe('the bench of enforcement', () => {
  it(
    'runs a small fleet under the real thing, and prints one JSON document in which no innocent turn was touched',
    async () => {
      const { code, stdout, stderr } = await run(
        ...['--sessions=60', '--agents=6', '--minutes=0.8', '--warm-up=15', '--burst=5'],
      );
      if (code !== 0) throw new Error(stderr);
      const { curfew, naive, goals } = JSON.parse(stdout) as Document;
      expect(curfew.liveSessions).toBe(65);
      expect(curfew.innocentsTouched).toBe(0);
      expect(curfew.violators.early).toBe(0);
      expect(curfew.violators.asked).toBeGreaterThan(0);
      expect(curfew.burst).toMatchObject({ turns: 5, asked: 5 });
      expect(curfew.burst?.untilAllAskedMs).toBeGreaterThan(0);
      // A look and a cancel request at least.
      expect(curfew.requestsPerViolator.violators).toBeGreaterThan(0);
      expect(curfew.requestsPerViolator.mean).toBeGreaterThanOrEqual(2);
      expect(curfew.ledger.outcomes['cancelled']).toBeGreaterThan(0);
      expect(curfew.temporal.casesOnInnocents).toBe(0);
      expect(curfew.temporal.executions['policyEnforcement']).toBe(1);
      expect(Object.keys(curfew.windows)).toEqual([...['warmUp', 'steady', 'violations', 'settle', 'burst', 'drain']]);
      expect(curfew.windows['warmUp']?.requestsPerSessionHour.list).toBeGreaterThan(0);
      expect(goals['innocentsTouched']).toMatchObject({ measured: 0, met: true });
      expect(naive).toBeNull();
    },
    HANG_MS,
  );

  it('says that another checkout was not built', async () => {
    const { code, stdout, stderr } = await run('--against=/nowhere');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('--against is "/nowhere"; there is no build');
  });

  it('says what is wrong with its options', async () => {
    const { code, stdout, stderr } = await run('--sessions=many');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('--sessions is "many"; it must be a number from 20 to 100000.');
  });
});
