import { spawnSync } from 'node:child_process';
import { it } from '@jest/globals';
import { receiverInDocs, tryReceiver } from '../support/docs-receiver.js';

/** As the docs have it: `pip install standardwebhooks`. */
const isThere = spawnSync('python3', ['-c', 'import standardwebhooks']).status === 0;

(isThere ? it : it.skip)(
  'the receiver in Python that the docs show answers 401 to what is wrong, and goes on (needs pip install standardwebhooks)',
  async () => {
    await tryReceiver('python3', ['-u', '-c', receiverInDocs('python')]);
  },
  120_000,
);
