#!/usr/bin/env bash
# A namespace on SQL visibility has room for ten search attributes of the type Keyword. Adding several beyond that adds none of
# them, and the answer is INVALID_ARGUMENT, as if the request were malformed.
#
# Versions: Temporal server 1.29.1 with SQLite (in the CLI 1.5.1), @temporalio/client 1.24.0.
# Expected: RESOURCE_EXHAUSTED or FAILED_PRECONDITION where there is no room; or as many attributes as fit.
# Seen:     with seven Keyword attributes there, adding four answers INVALID_ARGUMENT (3), and none of the four exists afterwards.
#           A client that takes INVALID_ARGUMENT for a fault of its own, and gives up, does not run in such a namespace.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/support/dev-server.sh"

cat >look.mjs <<'SCRIPT'
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, end } from './server.mjs';

const client = await connect();
const { connection } = client;
const KEYWORD = 2;
const namespace = 'default';
const add = (names) =>
  connection.operatorService.addSearchAttributes({
    namespace,
    searchAttributes: Object.fromEntries(names.map((name) => [name, KEYWORD])),
  });
const ours = async () => {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  return Object.keys(customAttributes ?? {}).filter((name) => name.startsWith('Mine'));
};
const numbered = (from, count) => Array.from({ length: count }, (_, index) => `Mine${from + index}`);

await add(numbered(1, 7));
for (let tries = 0; (await ours()).length < 7 && tries < 60; tries += 1) await sleep(500);
console.log('there before:', (await ours()).length);
const refusal = await add(numbered(8, 4)).then(
  () => null,
  (error) => error,
);
await sleep(3_000);
const after = (await ours()).length;
console.log('code:', refusal?.code, '-', refusal?.details ?? refusal?.message);
console.log('there after:', after);
await end(client, refusal?.code === 3 && after === 7);
SCRIPT
node look.mjs "$address"
