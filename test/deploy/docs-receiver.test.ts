import { spawnSync } from 'node:child_process';
import { beforeAll, it } from '@jest/globals';
import { receiverInDocs, tryReceiver } from '../notify/docs-receiver.js';

// It must fail, not pass unseen.
beforeAll(() => {
  if (spawnSync('python3', ['-c', 'import standardwebhooks']).status === 0) return;
  throw new Error(
    'This test needs the package that the docs name, for the python3 on PATH: pip install standardwebhooks.',
  );
});

it('the receiver in Python that the docs show answers 401 to what is wrong, and goes on', async () => {
  await tryReceiver('python3', ['-u', '-c', receiverInDocs('python')]);
}, 120_000);
