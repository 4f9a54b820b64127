#!/usr/bin/env bash
# Time zone names that Node.js accepts, for an IANA zone, and that the Temporal server refuses for a Schedule.
#
# Versions: Temporal server 1.29.1 (in the CLI 1.5.1), @temporalio/client 1.24.0, Node.js 20 to 24.
# Expected: a name that `Intl.DateTimeFormat` accepts is a name in the IANA database, which Go's library reads as well.
# Seen:     Node accepts `europe/berlin` (it ignores case), and ICU's own short names `PST`, `JST`, `IST`; the server answers
#           "unknown time zone". `EST` and `CET`, short names too, are accepted by both.
#           So a check by Intl before the Schedule is made passes names that no Schedule can have.
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
import { Client, Connection } from '@temporalio/client';

const address = process.argv[2];
let connection;
for (let tries = 0; connection === undefined; tries += 1) {
  connection = await Connection.connect({ address }).catch(async (error) => {
    if (tries > 60) throw error;
    await sleep(500);
  });
}
const client = new Client({ connection });

const meantByNode = (timeZone) => new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone;
const create = (timezone) =>
  client.schedule.create({
    scheduleId: `daily-${timezone}`,
    spec: { cronExpressions: ['0 3 * * *'], timezone },
    action: { type: 'startWorkflow', workflowType: 'none', taskQueue: 'none', args: [] },
  });

const expected = {
  'Europe/Berlin': 'accepted',
  'europe/berlin': 'refused',
  PST: 'refused',
  JST: 'refused',
  IST: 'refused',
  EST: 'accepted',
  CET: 'accepted',
};
let asDescribed = true;
for (const [name, answer] of Object.entries(expected)) {
  const seen = await create(name).then(
    () => ({ answer: 'accepted', why: '' }),
    (error) => ({ answer: 'refused', why: `(${error.message})` }),
  );
  console.log(`${name}: Node takes it for ${meantByNode(name)}; the server: ${seen.answer} ${seen.why}`);
  asDescribed &&= seen.answer === answer;
}
await connection.close();
console.log(asDescribed ? 'As described.' : 'This has changed.');
process.exit(asDescribed ? 0 : 1);
SCRIPT
node look.mjs "127.0.0.1:$port"
