#!/usr/bin/env bash
# A Schedule made with `retry: { maximumAttempts: 3 }` can't be updated: `update((previous) => previous)` throws.
#
# Versions: Temporal server 1.29.1 (in the CLI 1.5.1), @temporalio/client 1.24.0.
# Expected: what `update` hands over can be given back unchanged, as its documentation shows it. A backoff coefficient left out when
#           the Schedule is made is left out afterwards, too.
# Seen:     the client reads the missing coefficient back as 0, and refuses its own 0 when it writes:
#           "RetryPolicy.backoffCoefficient must be greater than 0". So no update of any part of such a Schedule goes through. With
#           `backoffCoefficient: 2` written out it does.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/support/dev-server.sh"

cat >look.mjs <<'SCRIPT'
import { connect, create, end } from './server.mjs';

const client = await connect();
const spec = { intervals: [{ every: '1h' }] };
const updated = async (scheduleId, retry) => {
  const handle = await create(client, scheduleId, { spec, action: { retry } });
  console.log(scheduleId, 'is read back with', JSON.stringify((await handle.describe()).action.retry));
  return handle
    .update((previous) => previous)
    .then(
      () => 'updated',
      (error) => `${error.name}: ${error.message}`,
    );
};
const without = await updated('without-coefficient', { maximumAttempts: 3 });
const written = await updated('with-coefficient', { maximumAttempts: 3, backoffCoefficient: 2 });
console.log('without the coefficient:', without);
console.log('with it:', written);
await end(
  client,
  without === 'ValueError: RetryPolicy.backoffCoefficient must be greater than 0' && written === 'updated',
);
SCRIPT
node look.mjs "$address"
