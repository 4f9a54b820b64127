import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runSoak } from '../test/soak/soak.js';

const USAGE = `Usage: npx tsx bench/soak.ts [options]      (after \`npm run build\`)
  --minutes N    length of the run with faults and kills   (10)
  --sessions N   sessions, in all kinds of use             (200)
  --kill-every N seconds between two kills of a worker, on average; they come at random (30)
  --faults N     percent of requests that fail             (5)
  --seed N       of an earlier run, for the same users and chances

Prints one JSON document on stdout: among others the lag from a limit to the first cancel request, and the disagreements.
Exits 1 when Curfew and the simulator disagree in any case.`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    sessions: { type: 'string', default: '200' },
    'kill-every': { type: 'string', default: '30' },
    faults: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    help: { type: 'boolean', default: false },
  },
});
const numbers = [values.minutes, values.sessions, values['kill-every'], values.faults, values.seed].map(Number);
if (values.help || numbers.some((number) => !Number.isFinite(number) || number < 0)) {
  console.error(USAGE);
  process.exit(values.help ? 0 : 2);
}
const [minutes = 0, sessions = 0, killEvery = 0, percent = 0, seed = 0] = numbers;
console.error(`seed ${seed}`);
const report = await runSoak({
  runMs: minutes * 60_000,
  drainMs: 240_000,
  sessions,
  agents: 10,
  killEveryMs: killEvery * 1_000,
  faultShare: percent / 100,
  hangingCancels: true,
  seed,
  say: (text) => console.error(text),
});
console.log(JSON.stringify(report, null, 2));
process.exitCode = report.agree ? 0 : 1;
