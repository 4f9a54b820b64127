#!/usr/bin/env bash
# A Schedule's catch-up window of less than ten seconds, zero included, becomes ten seconds without a word.
#
# Versions: Temporal server 1.29.1 (in the CLI 1.5.1), @temporalio/client 1.24.0.
# Expected: `catchupWindow: 0` means that what was missed while the server was away is never made up for; or it is refused.
# Seen:     0, 1 s and 9 s are accepted and stored as 10 s. An action that nobody wants late may still come up to ten seconds late.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/support/dev-server.sh"

cat >look.mjs <<'SCRIPT'
import { connect, create, end } from './server.mjs';

const client = await connect();
let asDescribed = true;
for (const [asked, stored] of [
  [0, 10_000],
  ['1s', 10_000],
  ['9s', 10_000],
  ['11s', 11_000],
]) {
  const policies = { catchupWindow: asked };
  const handle = await create(client, `asked-${asked}`, { spec: { intervals: [{ every: '1h' }] }, policies });
  const { catchupWindow } = (await handle.describe()).policies;
  console.log(`asked for ${asked}: stored as ${catchupWindow} ms`);
  asDescribed &&= catchupWindow === stored;
}
await end(client, asDescribed);
SCRIPT
node look.mjs "$address"
