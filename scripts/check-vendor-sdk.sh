#!/usr/bin/env bash
# Runs the vendor's own Python SDK, as published on PyPI, against the simulator. Needs no credential.
# GUMLOOP_SDK_VERSION (default: the newest) picks another release, for example 0.5.9.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/with-simulator.sh"

python_with "gumloop${GUMLOOP_SDK_VERSION:+==$GUMLOOP_SDK_VERSION}"
start_simulator

# Proxies must not get between two programs on this machine.
NO_PROXY=127.0.0.1 GUMLOOP_BASE_URL="$simulator_url" GUMLOOP_ACCESS_TOKEN="$simulator_key" \
  GUMLOOP_USER_ID="$simulator_user" CONTROL_URL="$simulator_control_url" \
  "$workspace/venv/bin/python" "$root/scripts/vendor_sdk_check.py"
