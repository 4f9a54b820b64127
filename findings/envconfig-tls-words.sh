#!/usr/bin/env bash
# `TEMPORAL_TLS=TRUE`, `yes` and `on` switch TLS off, also where an API key alone would have switched it on.
#
# Versions: @temporalio/envconfig 1.24.0.
# Expected: TLS on, or an error: with an API key and no TEMPORAL_TLS at all, TLS is on.
# Seen:     every value but `true` and `1` becomes `tls: false`, beside the API key, without an error. A connection made of
#           that sends the key in the clear.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @temporalio/envconfig@1.24.0

cat >look.mjs <<'SCRIPT'
import { loadClientConnectConfig } from '@temporalio/envconfig';

const tlsOf = (word) => {
  const overrideEnvVars = {
    TEMPORAL_ADDRESS: 'temporal.example.com:7233',
    TEMPORAL_API_KEY: 'an-example-of-a-key',
    ...(word === undefined ? {} : { TEMPORAL_TLS: word }),
  };
  return loadClientConnectConfig({ overrideEnvVars, disableFile: true }).connectionOptions.tls;
};

const expected = { true: 'on', 1: 'on', TRUE: 'off', True: 'off', yes: 'off', on: 'off' };
let asDescribed = true;
console.log('not set:', tlsOf(undefined) === false ? 'tls off' : 'tls on');
for (const [word, answer] of Object.entries(expected)) {
  const tls = tlsOf(word);
  const seen = tls === false ? 'off' : 'on';
  console.log(`TEMPORAL_TLS=${word}: tls ${seen}`);
  asDescribed &&= seen === answer;
}
asDescribed &&= tlsOf(undefined) !== false;
console.log(asDescribed ? 'As described.' : 'This has changed.');
process.exit(asDescribed ? 0 : 1);
SCRIPT
node look.mjs
