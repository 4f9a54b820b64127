#!/usr/bin/env bash
# The steps of the Dockerfile without Docker: what .dockerignore lets through is built, pruned, and run as another user from
# a folder that can't be written. It checks all but the base image and what Debian adds.
# Dependencies are taken from node_modules here, as `npm ci` has put them; none is fetched.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
workspace="$(mktemp -d)"
trap 'chmod -R u+w "$workspace"; rm -rf "$workspace"' EXIT
chmod 711 "$workspace"
app="$workspace/app"
mkdir -p "$app"
passed=0
failed=0

check() {
  local name="$1"
  shift
  if "$@" >"$workspace/check.log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    tail -30 "$workspace/check.log"
  fi
}
megabytes() { echo "$(($(du -sk --apparent-size "$1" | cut -f1) / 1024)) MB"; }

# Hard links cost no space, and nothing below writes into a file that is linked: npm writes one, which is copied.
copy_context() {
  local name
  while read -r name; do
    mkdir -p "$app/$(dirname "$name")"
    cp -R "$root/$name" "$app/$name"
  done < <(sed -n 's/^!//p' "$root/.dockerignore")
  cp -al "$root/node_modules" "$app/node_modules"
  rm "$app/node_modules/.package-lock.json"
  cp "$root/node_modules/.package-lock.json" "$app/node_modules/"
}
# As the image's user would: not root, nothing of this environment. To be followed by NAME=value... and arguments of curfew.
as_user=(env -i --chdir="$workspace/home" PATH="$(dirname "$(type -P node)"):/usr/bin:/bin" HOME="$workspace/home"
  CURFEW_HOME="$workspace/home" NODE_ENV=production NODE_OPTIONS=--max-old-space-size=512)
if [ "$(id -u)" -eq 0 ]; then
  as_user=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "${as_user[@]}")
fi
main="$app/dist/src/cli/main.js"
# A whole worker with the server that it starts itself: the ledger's and Temporal's native parts, the bundle of workflows.
worker_starts() {
  local cli simulator up status=0
  cli="${TEMPORAL_CLI_PATH:-$(type -P temporal || compgen -G "${XDG_CACHE_HOME:-$HOME/.cache}/curfew/temporal-cli/*/temporal" | tail -1)}"
  # Where the other user can reach it.
  install -m 755 "$cli" "$workspace/temporal"
  "${as_user[@]}" node "$main" simulate --port 0 --json >"$workspace/simulate.json" &
  simulator=$!
  first_line "$workspace/simulate.json" || status=1
  "${as_user[@]}" GUMLOOP_BASE_URL="$(field url "$workspace/simulate.json")" GUMLOOP_API_KEY=simulator-key \
    GUMLOOP_USER_ID=simulator-user TEMPORAL_CLI_PATH="$workspace/temporal" node "$main" up --json >"$workspace/up.json" &
  up=$!
  first_line "$workspace/up.json" &&
    timeout 120 "${as_user[@]}" node "$main" cancel sess_runaway --wait || status=1
  kill "$up" "$simulator" || true
  wait "$up" || status=1
  wait "$simulator" || true
  return "$status"
}
first_line() {
  for _ in {1..300}; do
    [ ! -s "$1" ] || return 0
    sleep 0.2
  done
  return 1
}
field() { node -p 'JSON.parse(require("fs").readFileSync(process.argv[2]))[process.argv[1]]' "$1" "$2"; }

check 'the context is complete' copy_context
cd "$app"
check 'npm run build' npm run build
[ -d dist ] || {
  echo "$passed passed, $failed failed"
  exit 1
}
check 'npm prune --omit=dev' npm prune --omit=dev --ignore-scripts --no-audit --no-fund --offline
echo "        node_modules: $(megabytes node_modules)"
check 'prune-native' node scripts/prune-native.mjs
echo "        node_modules: $(megabytes node_modules); dist: $(megabytes dist)"
# Nobody else's to write to: `curfew up` starts in no other.
mkdir -m 700 "$workspace/home"
[ "$(id -u)" -ne 0 ] || chown nobody: "$workspace/home"
chmod -R a-w,a+rX "$app"
check 'curfew --version' "${as_user[@]}" node "$main" --version
check 'curfew up starts, and a session is ended' worker_starts
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
