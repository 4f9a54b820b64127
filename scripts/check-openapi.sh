#!/usr/bin/env bash
# Runs schemathesis against the simulator with our copy of the API description. A minute or two, no credential needed.
# SECONDS_PER_PASS (default 15) bounds each pass.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/with-simulator.sh"

seconds="${SECONDS_PER_PASS:-15}"
document="$root/test/simulator/gumloop-openapi.yaml"
python_with 'schemathesis>=4.32,<5'
start_simulator

# The description cannot say all: an empty name, a made-up cursor or a message without input fit its types and get 400.
# And one path has a method more than described: the vendor's SDK can queue a message.
checks='[checks]
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "429"]

[[operations]]
include-path = "/sessions/{session_id}/queue"
checks.unsupported_method.enabled = false
checks.allow_header_conformance.enabled = false
'
passed=0
failed=0

# One pass. With a session id, all operations work on that session; without one, on ids that the tool makes up or creates.
check() {
  local name="$1" session="$2"
  shift 2
  {
    if [ -n "$session" ]; then
      printf '[parameters]\n"path.agent_id" = "agent_support"\n"path.session_id" = "%s"\n\n' "$session"
    fi
    echo "$checks"
  } >"$workspace/schemathesis.toml"
  if (cd "$workspace" && venv/bin/schemathesis --config-file schemathesis.toml run "$document" --url "$simulator_url" \
    --header "Authorization: Bearer $simulator_key" --header "x-auth-key: $simulator_user" \
    --max-examples 40 --max-time "$seconds" --seed 1 \
    --continue-on-failure --warnings off --no-color "$@") >"$workspace/pass.log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name: $(grep -o '[0-9]* generated' "$workspace/pass.log" | tail -1)"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    cat "$workspace/pass.log"
  fi
}

check 'ids made up or created' ''
check 'a session in flight' sess_runaway --phases examples,coverage,fuzzing
check 'a session that waits for approval' sess_asks --phases examples,coverage,fuzzing
check 'a session at rest' sess_finished --phases examples,coverage,fuzzing

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
