#!/usr/bin/env bash
# The two commands of the README on a fresh clone of what is committed here, as on a machine that has Node.js, npm and Go, and
# neither PostgreSQL nor Prometheus, Docker, OpenSSL, Python or git: empty environment, empty HOME, a PATH of the programs
# named below. Run by hand: it takes as long as all tests, and some minutes more where Go builds the Temporal CLI.
#
#   scripts/check-bare-machine.sh [arguments of npm test]
#
# TEMPORAL_CLI_PATH, if set, is passed on, and so is what a proxy asks for. Ends on "N passed, N failed".
set -uo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
workspace="$(mktemp -d)"
# Go's module cache can't be written.
trap 'chmod -R u+w "$workspace"; rm -rf "$workspace"' EXIT
chmod 711 "$workspace"
mkdir "$workspace/bin" "$workspace/home"
for program in node npm npx go sh bash env '[' basename cat chmod chown cp cut date dirname echo expr false head id install ln ls mkdir mktemp \
  mv nproc od printf pwd readlink realpath rm rmdir seq sleep sort stat tail tee test touch tr true uname uniq wc grep sed; do
  path="$(type -P "$program")" && ln -s "$path" "$workspace/bin/$program"
done
# Nobody else gets in, as into /root: PostgreSQL must not need the clone.
mkdir -m 700 "$workspace/private"
git clone --quiet "$root" "$workspace/private/clone" || exit 1

environment=(HOME="$workspace/home" PATH="$workspace/bin" CI=true)
for name in TEMPORAL_CLI_PATH HTTPS_PROXY HTTP_PROXY NO_PROXY https_proxy http_proxy no_proxy GOPROXY NODE_EXTRA_CA_CERTS SSL_CERT_FILE \
  npm_config_registry; do
  [ -z "${!name:-}" ] || environment+=("$name=${!name}")
done

passed=0
failed=0
check() {
  local name="$1" began=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  if env -i --chdir="$workspace/private/clone" "${environment[@]}" "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
  fi
  echo "   ($name took $((SECONDS - began)) s)"
}
check 'npm ci' npm ci
check 'npm run demo' npm run demo
check 'npm test' npm test -- "$@"
printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
