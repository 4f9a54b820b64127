# Sourced by checks: starts the simulator on a free port, makes a temporary folder, and cleans both up at exit.
# Afterwards: $workspace (the folder), $simulator_url, $simulator_control_url, $simulator_key, $simulator_user.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
workspace="$(mktemp -d "${TMPDIR:-/tmp}/curfew-check.XXXXXX")"
simulator_pid=''

clean_up() {
  if [ -n "$simulator_pid" ]; then
    kill "$simulator_pid" 2>/dev/null || true
    wait "$simulator_pid" 2>/dev/null || true
  fi
  rm -rf "$workspace"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Set SCENARIO first for another account than the built-in one.
start_simulator() {
  local announcement="$workspace/simulator.json"
  # From source, so that no outdated build is checked; node itself, not npx, so that the process id is the simulator's.
  node --import "$root/node_modules/tsx/dist/esm/index.mjs" "$root/simulator/main.ts" >"$announcement" &
  simulator_pid=$!
  for _ in $(seq 300); do
    [ -s "$announcement" ] && break
    kill -0 "$simulator_pid" 2>/dev/null || { echo 'The simulator did not start.' >&2; exit 1; }
    sleep 0.1
  done
  [ -s "$announcement" ] || { echo 'The simulator did not start within 30 s.' >&2; exit 1; }
  simulator_url="$(field url <"$announcement")"
  simulator_control_url="$(field controlUrl <"$announcement")"
  simulator_key="$(field apiKey <"$announcement")"
  simulator_user="$(field userId <"$announcement")"
}

# Reads one field of a JSON object on stdin.
field() {
  python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# Installs packages from PyPI into a fresh environment in the workspace.
python_with() {
  python3 -m venv "$workspace/venv"
  "$workspace/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}
