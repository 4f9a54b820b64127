import { it } from '@jest/globals';
import { receiverInDocs, tryReceiver } from './docs-receiver.js';

it('the receiver in Node that the docs show answers 401 to what is wrong, and goes on', async () => {
  await tryReceiver(process.execPath, ['--input-type=module', '--eval', receiverInDocs('js')]);
}, 120_000);
