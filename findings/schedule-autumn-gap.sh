#!/usr/bin/env bash
# A Temporal Schedule that fires every half hour in Europe/Berlin leaves out 90 minutes in the night in which clocks go back.
#
# Versions: Temporal server 1.29.1 (in the CLI 1.5.1), @temporalio/client 1.24.0.
# Expected: a cron of `*/30 * * * *` fires every 30 minutes, whatever the time zone's offset does.
# Seen:     in Europe/Berlin, 2027-10-31, after 00:00Z the next times are 01:30Z and 02:00Z; 00:30Z and 01:00Z are missing.
#           In America/New_York, in its own night of the change, no time is missing.
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
const seconds = (text) => ({ seconds: Date.parse(text) / 1000 });

/** Minutes between the times at which the Schedule would fire. */
async function gaps(timezone, from, to) {
  const scheduleId = `half-hourly-${timezone}`;
  await client.schedule.create({
    scheduleId,
    spec: { cronExpressions: ['*/30 * * * *'], timezone },
    action: { type: 'startWorkflow', workflowType: 'none', taskQueue: 'none', args: [] },
  });
  const { startTime } = await client.workflowService.listScheduleMatchingTimes({
    namespace: 'default',
    scheduleId,
    startTime: seconds(from),
    endTime: seconds(to),
  });
  const times = startTime.map((time) => Number(time.seconds));
  console.log(timezone, times.map((time) => new Date(time * 1000).toISOString().slice(11, 16)).join(' '));
  return times.slice(1).map((time, index) => (time - times[index]) / 60);
}

const berlin = await gaps('Europe/Berlin', '2027-10-30T22:00:00Z', '2027-10-31T04:00:00Z');
const newYork = await gaps('America/New_York', '2027-11-07T04:00:00Z', '2027-11-07T09:00:00Z');
await connection.close();
const asDescribed = Math.max(...berlin) === 90 && Math.max(...newYork) === 30;
console.log(asDescribed ? 'As described: a gap of 90 minutes in Berlin, none in New York.' : 'This has changed.');
process.exit(asDescribed ? 0 : 1);
SCRIPT
node look.mjs "127.0.0.1:$port"
