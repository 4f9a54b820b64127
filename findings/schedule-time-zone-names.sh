#!/usr/bin/env bash
# Time zone names that Node.js accepts, for an IANA zone, and that the Temporal server refuses for a Schedule.
#
# Versions: Temporal server 1.29.1 (in the CLI 1.5.1), @temporalio/client 1.24.0, Node.js 20 to 24.
# Expected: a name that `Intl.DateTimeFormat` accepts is a name in the IANA database, which Go's library reads as well.
# Seen:     Node accepts `europe/berlin` (it ignores case), and ICU's own short names `PST`, `JST`, `IST`; the server answers
#           "unknown time zone". `EST` and `CET`, short names too, are accepted by both.
#           So a check by Intl before the Schedule is made passes names that no Schedule can have.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/support/dev-server.sh"

cat >look.mjs <<'SCRIPT'
import { connect, create, end } from './server.mjs';

const client = await connect();
const meantByNode = (timeZone) => new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone;

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
for (const [timezone, answer] of Object.entries(expected)) {
  const seen = await create(client, `daily-${timezone}`, { spec: { cronExpressions: ['0 3 * * *'], timezone } }).then(
    () => ({ answer: 'accepted', why: '' }),
    (error) => ({ answer: 'refused', why: `(${error.message})` }),
  );
  console.log(`${timezone}: Node takes it for ${meantByNode(timezone)}; the server: ${seen.answer} ${seen.why}`);
  asDescribed &&= seen.answer === answer;
}
await end(client, asDescribed);
SCRIPT
node look.mjs "$address"
