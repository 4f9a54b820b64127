#!/usr/bin/env bash
# A Temporal Schedule that fires every half hour in Europe/Berlin leaves out 90 minutes in the night in which clocks go back.
#
# Versions: Temporal server 1.29.1 (in the CLI 1.5.1), @temporalio/client 1.24.0.
# Expected: a cron of `*/30 * * * *` fires every 30 minutes, whatever the time zone's offset does.
# Seen:     in Europe/Berlin, 2027-10-31, after 00:00Z the next times are 01:30Z and 02:00Z; 00:30Z and 01:00Z are missing.
#           In America/New_York, in its own night of the change, no time is missing.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/support/dev-server.sh"

cat >look.mjs <<'SCRIPT'
import { connect, create, end } from './server.mjs';

const client = await connect();
const seconds = (text) => ({ seconds: Date.parse(text) / 1000 });

/** Minutes between the times at which the Schedule would fire. */
async function gaps(timezone, from, to) {
  const scheduleId = `half-hourly-${timezone}`;
  await create(client, scheduleId, { spec: { cronExpressions: ['*/30 * * * *'], timezone } });
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
console.log(`longest gap: ${Math.max(...berlin)} minutes in Berlin, ${Math.max(...newYork)} in New York`);
await end(client, Math.max(...berlin) === 90 && Math.max(...newYork) === 30);
SCRIPT
node look.mjs "$address"
