import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { letGo, spawnHeld } from './support/held-process.js';

it('a held program runs until it is let go, even as a user who can reach nothing on PATH', async () => {
  const holder = spawnHeld('TERM', process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { env: { PATH: '' } });
  await sleep(1_000);
  expect(holder.exitCode).toBeNull();
  await letGo(holder);
  // 128 and the number of TERM, by the shell.
  expect(holder.exitCode).toBe(143);
});
