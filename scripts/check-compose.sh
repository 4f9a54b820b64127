#!/usr/bin/env bash
# Reads docker-compose.yml with the library that Docker Compose itself uses, which checks it against the specification, and
# holds the result against our own rules. Needs Go, and no Docker.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
workspace="$(mktemp -d)"
trap 'rm -rf "$workspace"' EXIT

if ! go run github.com/compose-spec/compose-go/v2/cmd@v2.9.0 -format json docker-compose.yml \
  >"$workspace/model.json" 2>"$workspace/log"; then
  tail -5 "$workspace/log"
  echo 'FAILED  docker-compose.yml keeps to the Compose specification'
  echo '0 passed, 1 failed'
  exit 1
fi
echo 'ok      docker-compose.yml keeps to the Compose specification'
mkdir "$workspace/deploy"
cp deploy/make-secrets.sh "$workspace/deploy/"
GUMLOOP_API_KEY=none "$workspace/deploy/make-secrets.sh" >"$workspace/log"
node scripts/check-compose.mjs "$workspace/secrets" <"$workspace/model.json" >"$workspace/rules" || true
sed '$d' "$workspace/rules"
line="$(tail -1 "$workspace/rules")"
passed=$((${line%% passed*} + 1))
line="${line##*, }"
echo "$passed passed, ${line%% failed*} failed"
[ "${line%% failed*}" -eq 0 ]
