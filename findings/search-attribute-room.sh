#!/usr/bin/env bash
# A namespace on SQL visibility has room for ten search attributes of the type Keyword. Adding several beyond that adds none of
# them, and the answer is INVALID_ARGUMENT, as if the request were malformed.
#
# Versions: Temporal server 1.29.1 with SQLite (in the CLI 1.5.1), @temporalio/client 1.24.0.
# Expected: RESOURCE_EXHAUSTED or FAILED_PRECONDITION where there is no room; or as many attributes as fit.
# Seen:     with seven Keyword attributes there, adding four answers INVALID_ARGUMENT (3), and none of the four exists afterwards.
#           A client that takes INVALID_ARGUMENT for a fault of its own, and gives up, does not run in such a namespace.
set -euo pipefail

folder="$(mktemp -d)"
server=''
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT
cd "$folder"

temporal="$(command -v temporal || true)"
if [ -z "$temporal" ] || ! "$temporal" --version | grep -q 'Server 1\.29\.1'; then
  GOBIN="$folder" go install github.com/temporalio/cli/cmd/temporal@v1.5.1
  temporal="$folder/temporal"
fi
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @temporalio/client@1.24.0

port="$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')"
"$temporal" server start-dev --headless --ip 127.0.0.1 --port "$port" >"$folder/server.log" 2>&1 &
server=$!

cat >look.mjs <<'SCRIPT'
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';

const address = process.argv[2];
let connection;
for (let tries = 0; connection === undefined; tries += 1) {
  connection = await Connection.connect({ address }).catch(async (error) => {
    if (tries > 60) throw error;
    await sleep(500);
  });
}
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
await connection.close();
const asDescribed = refusal?.code === 3 && after === 7;
console.log(asDescribed ? 'As described.' : 'This has changed.');
process.exit(asDescribed ? 0 : 1);
SCRIPT
node look.mjs "127.0.0.1:$port"
