import { once } from 'node:events';
import { UserError } from '../src/core/errors.js';
import { defaultScenario, loadScenario, startSimulator } from './index.js';

/**
 * Runs the simulator until it is told to stop. Prints one line of JSON: `url`, `controlUrl`, `apiKey`, `userId`.
 *
 * Environment: `PORT` (default any free one), `SCENARIO` (a file; default the built-in account).
 */
async function main(): Promise<void> {
  const file = process.env['SCENARIO'];
  const simulator = await startSimulator({
    port: Number(process.env['PORT'] ?? 0),
    scenario: file === undefined ? defaultScenario : await loadScenario(file),
  });
  const { url, controlUrl, apiKey, userId } = simulator;
  console.log(JSON.stringify({ url, controlUrl, apiKey, userId }));
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await simulator.close();
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`${error.message}\n${error.next}`);
  process.exitCode = error.exitCode;
}
