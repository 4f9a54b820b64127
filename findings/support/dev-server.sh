# Sourced by findings that need a Temporal server: a temporary folder with @temporalio/client 1.24.0 and a dev server (Temporal 1.29.1 in
# the CLI 1.5.1) on a free port of 127.0.0.1, in $address. Both are gone when the script ends.
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
address="127.0.0.1:$port"
"$temporal" server start-dev --headless --ip 127.0.0.1 --port "$port" >"$folder/server.log" 2>&1 &
server=$!

# import { connect, create, end } from './server.mjs'
cat >server.mjs <<'SCRIPT'
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';

/** A client, as soon as the server answers. */
export async function connect() {
  for (let tries = 0; ; tries += 1) {
    try {
      return new Client({ connection: await Connection.connect({ address: process.argv[2] }) });
    } catch (error) {
      if (tries > 60) throw error;
      await sleep(500);
    }
  }
}

/** A Schedule whose workflow nobody carries out. */
export const create = (client, scheduleId, { action = {}, ...rest }) =>
  client.schedule.create({
    scheduleId,
    action: { type: 'startWorkflow', workflowType: 'none', taskQueue: 'none', ...action },
    ...rest,
  });

export async function end(client, asDescribed) {
  await client.connection.close();
  console.log(asDescribed ? 'As described.' : 'This has changed.');
  process.exit(asDescribed ? 0 : 1);
}
SCRIPT
