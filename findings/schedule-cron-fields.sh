#!/usr/bin/env bash
# Cron texts that mean one thing elsewhere, and another, without a word, in a Temporal Schedule.
#
# Versions: Temporal server 1.29.1 (in the CLI 1.5.1), @temporalio/client 1.24.0.
# Expected: what other cron dialects read in these texts, or an error, as for `0 0 L * *`.
# Seen:     `0 0 9 * * *`, with six fields "every day at nine" where seconds come first, runs at midnight on the 9th of each month:
#           the sixth field is the year.
#           `0 12 * * MON#2`, elsewhere the second Monday, runs every Monday: what stands behind # is a comment.
#           `0 9 13 * FRI`, in Unix cron the 13th and every Friday, runs on Fridays the 13th alone.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/support/dev-server.sh"

cat >look.mjs <<'SCRIPT'
import { connect, create, end } from './server.mjs';

const client = await connect();
// All from the start of 2027 on, so that the next times do not depend on the day of the run.
const from = new Date('2027-01-01T00:00:00Z');
let asDescribed = true;
for (const [index, [cron, first, second]] of [
  ['0 0 9 * * *', '2027-01-09T00:00:00.000Z', '2027-02-09T00:00:00.000Z'],
  ['0 12 * * MON#2', '2027-01-04T12:00:00.000Z', '2027-01-11T12:00:00.000Z'],
  ['0 9 13 * FRI', '2027-08-13T09:00:00.000Z', '2028-10-13T09:00:00.000Z'],
].entries()) {
  const handle = await create(client, `cron-${index}`, { spec: { cronExpressions: [cron], startAt: from } });
  const { info } = await handle.describe();
  const next = info.nextActionTimes.slice(0, 2).map((time) => time.toISOString());
  console.log(`${cron}: next on ${next.join(' and ')}`);
  asDescribed &&= next[0] === first && next[1] === second;
}
await end(client, asDescribed);
SCRIPT
node look.mjs "$address"
