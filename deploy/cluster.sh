#!/usr/bin/env bash
# A Temporal server with PostgreSQL behind it, natively: what docker-compose.yml runs, for machines without Docker and for
# tests. One folder holds one cluster: data, secrets, logs and process ids. It listens on 127.0.0.1 only, on ports of its
# own, so that several clusters run side by side.
#
#   deploy/cluster.sh up FOLDER                 start; on an existing folder, with the data that is there
#   deploy/cluster.sh down FOLDER [--delete]    stop; with --delete the folder goes too
#   deploy/cluster.sh status FOLDER             what runs, with process ids and memory; exit code 1 unless all of it does
#   deploy/cluster.sh env FOLDER                settings for Curfew, for eval
#   deploy/cluster.sh kill-server FOLDER        SIGKILL to the Temporal server
#   deploy/cluster.sh start-server FOLDER       start it again
#   deploy/cluster.sh restart-postgres FOLDER [--kill]
#                                               stop and start PostgreSQL; with --kill as after a crash
#
# Needs Linux, PostgreSQL's binaries (Debian: postgresql) and Node.js. Temporal's binaries are taken from
# TEMPORAL_SERVER_PATH, TEMPORAL_SQL_TOOL_PATH and TEMPORAL_CLI_PATH, from PATH, or from Curfew's cache folder; what is
# missing is built with Go, once, in some minutes. To try another release of the server, set
# TEMPORAL_VERSION to it.
set -euo pipefail

# The same release as in docker-compose.yml. The CLI is the newest that `go install` accepts.
readonly PRODUCTION_TEMPORAL_VERSION=1.31.5
readonly TEMPORAL_VERSION="${TEMPORAL_VERSION:-$PRODUCTION_TEMPORAL_VERSION}"
readonly CLI_VERSION=1.5.1
readonly START_LIMIT_SECONDS=120
# Temporal 1.31.5 and 1.32.2 ask for the first; a machine may keep Go from getting a newer toolchain by itself.
readonly OLDEST_GO=1.26.10 NEWER_GO=go1.27.3
# Release 1.31.5 names this version of a module for workers that Temporal itself starts and stops. Curfew has none, and not every
# Go proxy serves it; then the one of release 1.31.2 is built in, and all else is 1.31.5 as it is.
readonly OPTIONAL=go.temporal.io/auto-scaled-workers OPTIONAL_VERSION=v0.0.1-1.31.2
readonly OPTIONAL_INSTEAD=v0.0.0-20260407181057-edd947d743d2

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly here

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}
usage() {
  sed -n '/^#   deploy/,/^#$/s/^# \{0,3\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# --- Binaries ---------------------------------------------------------------------------------------------------------

# find_tool MODULE VERSION EXPECTED SETTING NAME... prints the path of a binary whose `--version` says EXPECTED.
find_tool() {
  local module="$1" version="$2" expected="$3" setting="$4" name candidate cache
  shift 4
  if [ -n "${!setting:-}" ]; then
    works "${!setting}" "$expected" || die "$setting is ${!setting}, which does not answer --version with \"$expected\"."
    printf '%s\n' "${!setting}"
    return
  fi
  for name in "$@"; do
    candidate="$(type -P "$name" || true)"
    if [ -n "$candidate" ] && works "$candidate" "$expected"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  cache="${XDG_CACHE_HOME:-$HOME/.cache}/curfew/temporal-${module##*/}/$version"
  candidate="$cache/${module##*/}"
  if ! works "$candidate" "$expected"; then
    mkdir -p "$cache"
    # One builds, others wait and take what it has built.
    exec 8>"$cache/lock"
    flock 8
    works "$candidate" "$expected" || go_install "$module@v$version" "$cache"
    exec 8>&-
  fi
  works "$candidate" "$expected" || die "What \`go install $module@v$version\` has built does not run: $candidate"
  printf '%s\n' "$candidate"
}

works() { [ -x "$1" ] && "$1" --version 2>/dev/null | grep -q "$2"; }

# The binary appears all at once: another run never finds half of it.
go_install() {
  local package="$1" folder="$2" partial
  type -P go >/dev/null || die "Temporal's $package is neither on PATH nor in Curfew's cache, and there is no Go to build it.
Install Go, or put the binaries of a Temporal release on PATH. Nothing was started."
  # Of a build that was cut off.
  rm -rf "$folder"/partial-*
  partial="$(mktemp -d "$folder/partial-XXXXXX")"
  say "building $package with Go: once, some minutes"
  if ! compile "$partial" "$package"; then
    tail -3 "$partial/log" >&2
    rm -rf "$partial"
    die "$package could not be built. Does this machine reach its Go module proxy (go env GOPROXY)? Nothing was started."
  fi
  mv -f "$partial/$(basename "${package%@*}")" "$folder/"
  rm -rf "$partial"
}

# compile FOLDER PACKAGE@VERSION leaves the binary in FOLDER, and what Go has said in FOLDER/log.
compile() (
  local folder="$1" package="${2%@*}" version="${2##*@}" installed
  installed="$(go env GOVERSION)"
  if [ "$(printf '%s\n' "$OLDEST_GO" "${installed#go}" | sort -V | head -1)" != "$OLDEST_GO" ]; then
    say "  ${installed} is older than $OLDEST_GO, which Temporal asks for: building with $NEWER_GO"
    export GOTOOLCHAIN="$NEWER_GO"
  fi
  GOBIN="$folder" narrated "$folder/log" go install -v "$package@$version" && return
  grep -q "$OPTIONAL@$OPTIONAL_VERSION" "$folder/log" || return
  say "  the Go proxy does not serve $OPTIONAL $OPTIONAL_VERSION: building with $OPTIONAL_INSTEAD"
  cd "$folder" || return
  printf 'module temporal-build\n\ngo %s\n\nrequire go.temporal.io/server %s\n\nreplace %s %s => %s %s\n' \
    "$OLDEST_GO" "$version" "$OPTIONAL" "$OPTIONAL_VERSION" "$OPTIONAL" "$OPTIONAL_INSTEAD" >go.mod
  narrated "$folder/log" go build -mod=mod -v -o "$folder/" "$package"
)

# narrated LOG COMMAND... adds what a build says to LOG, and tells now and then how far it is.
narrated() {
  local log="$1" packages=0 line began=$SECONDS
  shift
  "$@" 2>&1 | while read -r line; do
    printf '%s\n' "$line" >>"$log"
    packages=$((packages + 1))
    [ $((packages % 100)) -ne 0 ] || say "  $((SECONDS - began)) s, $packages packages"
  done
}

find_temporal() {
  server_binary="$(find_tool go.temporal.io/server/cmd/server "$TEMPORAL_VERSION" \
    "temporal version $TEMPORAL_VERSION" TEMPORAL_SERVER_PATH temporal-server server)"
  sql_tool="$(find_tool go.temporal.io/server/cmd/tools/sql "$TEMPORAL_VERSION" \
    "version $TEMPORAL_VERSION" TEMPORAL_SQL_TOOL_PATH temporal-sql-tool sql)"
  cli="$(find_tool github.com/temporalio/cli/cmd/temporal "$CLI_VERSION" \
    'temporal version' TEMPORAL_CLI_PATH temporal)"
}

# PATH first, then where Debian and its kin put them, newest first.
find_postgres() {
  local candidate
  for candidate in "$(dirname "$(type -P pg_ctl || true)")" $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
    if [ -x "$candidate/initdb" ] && [ -x "$candidate/pg_ctl" ] && [ -x "$candidate/psql" ]; then
      postgres_binaries="$candidate"
      return
    fi
  done
  die 'PostgreSQL (initdb, pg_ctl, psql) is neither on PATH nor in /usr/lib/postgresql. Debian, Ubuntu: apt-get install postgresql'
}

# PostgreSQL refuses to run as root: then it runs as the user postgres, or nobody.
find_account() {
  account=''
  [ "$(id -u)" -eq 0 ] || return 0
  local name
  for name in postgres nobody; do
    if id "$name" >/dev/null 2>&1; then
      account="$name"
      return
    fi
  done
  die 'PostgreSQL refuses to run as root, and there is neither a user "postgres" nor "nobody" to run it as.'
}

as_account() {
  if [ -z "$account" ]; then "$@"; else
    setpriv --reuid="$account" --regid="$(id -g "$account")" --clear-groups -- "$@"
  fi
}

# --- The folder -------------------------------------------------------------------------------------------------------

prepare_folder() {
  mkdir -p "$folder"
  chmod 700 "$folder"
  mkdir -p "$folder/postgres" "$folder/secrets"
  chmod 700 "$folder/postgres" "$folder/secrets"
  # The other user must reach its part, and sees nothing else.
  if [ -n "$account" ]; then
    chmod 711 "$folder"
    chown "$account:" "$folder/postgres"
    as_account test -w "$folder/postgres" ||
      die "The user $account, who runs PostgreSQL, can't reach $folder. Use a folder below one that all may enter, such as /var/lib."
  fi
  local secret
  for secret in postgres/password secrets/temporal-database-password secrets/curfew-database-password; do
    [ -s "$folder/$secret" ] || (
      umask 077
      od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$secret"
    )
  done
  # initdb reads it.
  [ -z "$account" ] || chown "$account:" "$folder/postgres/password"
  if [ ! -s "$folder/ports" ]; then
    choose_ports >"$folder/ports.new"
    mv "$folder/ports.new" "$folder/ports"
  fi
}

# Chosen once, so that the addresses stay. Below the range that systems take for outgoing connections: nobody else gets
# one of them by chance while the cluster is down.
choose_ports() {
  node --input-type=module -e '
    import { createServer } from "node:net";
    const isFree = (port) => new Promise((resolve) => {
      const server = createServer().once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    const taken = new Set();
    for (const name of process.argv.slice(1)) {
      let port;
      do port = 10_000 + Math.floor(Math.random() * 22_000); while (taken.has(port) || !(await isFree(port)));
      taken.add(port);
      console.log(`${name}=${port}`);
    }
  ' POSTGRES_PORT FRONTEND_GRPC_PORT FRONTEND_HTTP_PORT FRONTEND_MEMBERSHIP_PORT MATCHING_GRPC_PORT \
    MATCHING_MEMBERSHIP_PORT HISTORY_GRPC_PORT HISTORY_MEMBERSHIP_PORT WORKER_GRPC_PORT WORKER_MEMBERSHIP_PORT METRICS_PORT
}

existing_folder() {
  [ -s "$folder/ports" ] || die "There is no cluster in $folder. Start one: deploy/cluster.sh up $folder"
  # shellcheck source=/dev/null
  . "$folder/ports"
}

# One command at a time on a folder. The daemons must not inherit the lock: hence 9>&- where they start.
lock_folder() {
  exec 9>"$folder/lock"
  flock -w "$START_LIMIT_SECONDS" 9 || die "Another deploy/cluster.sh is at work on $folder."
}

write_settings() {
  (
    umask 077
    cat >"$folder/cluster.env.new" <<SETTINGS
TEMPORAL_ADDRESS=127.0.0.1:$FRONTEND_GRPC_PORT
TEMPORAL_NAMESPACE=curfew
CURFEW_DATABASE_URL=postgres://curfew:$(<"$folder/secrets/curfew-database-password")@127.0.0.1:$POSTGRES_PORT/curfew
SETTINGS
    mv "$folder/cluster.env.new" "$folder/cluster.env"
  )
}

# --- PostgreSQL -------------------------------------------------------------------------------------------------------

postgres_pid() {
  local pid
  pid="$(head -1 "$folder/postgres/data/postmaster.pid" 2>/dev/null)" || return 1
  [ -d "/proc/$pid" ] && as_account "$postgres_binaries/pg_ctl" status -D "$folder/postgres/data" >/dev/null && echo "$pid"
}

make_postgres() {
  [ ! -s "$folder/postgres/data/PG_VERSION" ] || return 0
  as_account "$postgres_binaries/initdb" --pgdata "$folder/postgres/data" --username postgres --encoding UTF8 --locale C \
    --data-checksums --auth scram-sha-256 --pwfile "$folder/postgres/password" \
    >>"$folder/postgres.log" 2>&1 || die "initdb failed; see $folder/postgres.log"
}

# Durable, as in production: fsync and synchronous_commit keep their defaults.
start_postgres() {
  if postgres_pid >/dev/null; then return; fi
  as_account "$postgres_binaries/pg_ctl" start --wait --timeout "$START_LIMIT_SECONDS" -D "$folder/postgres/data" \
    -o "-c port=$POSTGRES_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200" \
    </dev/null >>"$folder/postgres.log" 2>&1 9>&- || die "PostgreSQL did not start; see $folder/postgres.log"
}

# MODE is fast or immediate (no checkpoint: the next start recovers from the log, as after a crash).
stop_postgres() {
  postgres_pid >/dev/null || return 0
  as_account "$postgres_binaries/pg_ctl" stop --wait --timeout "$START_LIMIT_SECONDS" --mode "$1" \
    -D "$folder/postgres/data" >>"$folder/postgres.log" 2>&1 || die "PostgreSQL did not stop; see $folder/postgres.log"
}

make_databases() {
  PGPASSWORD="$(<"$folder/postgres/password")" "$postgres_binaries/psql" --no-psqlrc --quiet --output /dev/null \
    --host 127.0.0.1 --port "$POSTGRES_PORT" --username postgres --dbname postgres \
    --set secrets="$folder/secrets" --file "$here/postgres/databases.sql" >>"$folder/postgres.log" 2>&1 ||
    die "The databases could not be made; see $folder/postgres.log"
}

# --- Temporal ---------------------------------------------------------------------------------------------------------

update_schema() {
  SQL_HOST=127.0.0.1 SQL_PORT="$POSTGRES_PORT" SQL_USER=temporal SQL_TOOL="$sql_tool" \
    SQL_PASSWORD_FILE="$folder/secrets/temporal-database-password" "$here/temporal/schema.sh" >>"$folder/schema.log" 2>&1 ||
    die "Temporal's schema could not be brought up to date; see $folder/schema.log"
}

# A process id alone may by now be another process: the time it started at goes along.
remember_server() { printf '%s %s\n' "$1" "$(started_at "$1")" >"$folder/temporal.pid"; }
started_at() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

server_pid() {
  local pid began
  read -r pid began 2>/dev/null <"$folder/temporal.pid" || return 1
  [ "$(started_at "$pid")" = "$began" ] && echo "$pid"
}

start_server() {
  if server_pid >/dev/null; then return; fi
  (
    set -a
    # shellcheck source=temporal/server.env
    . "$here/temporal/server.env"
    # shellcheck source=/dev/null
    . "$folder/ports"
    set +a
    export POSTGRES_SEEDS=127.0.0.1 DB_PORT="$POSTGRES_PORT" BIND_ON_IP=127.0.0.1 TEMPORAL_BROADCAST_ADDRESS=127.0.0.1
    export DYNAMIC_CONFIG_FILE_PATH="$here/temporal/dynamic-config.yaml" PROMETHEUS_ENDPOINT="127.0.0.1:$METRICS_PORT"
    export POSTGRES_PWD_FILE="$folder/secrets/temporal-database-password"
    exec setsid "$here/temporal/start-server.sh" "$server_binary" start </dev/null >>"$folder/temporal.log" 2>&1 9>&-
  ) &
  local pid=$!
  disown
  remember_server "$pid"
  await_server "$pid"
}

await_server() {
  local give_up_at=$((SECONDS + START_LIMIT_SECONDS))
  until "$cli" operator cluster health --address "127.0.0.1:$FRONTEND_GRPC_PORT" >/dev/null 2>&1; do
    [ -n "$(started_at "$1")" ] || die "The Temporal server ended while it started; see $folder/temporal.log"
    [ "$SECONDS" -lt "$give_up_at" ] || die "The Temporal server is not healthy after $START_LIMIT_SECONDS s; see $folder/temporal.log"
    sleep 0.2
  done
}

make_namespace() {
  TEMPORAL_ADDRESS="127.0.0.1:$FRONTEND_GRPC_PORT" TEMPORAL_CLI="$cli" "$here/temporal/namespace.sh" ||
    die "See $folder/temporal.log"
}

# SIGTERM first; a server that hangs must not keep `down` from ending.
stop_server() {
  local pid give_up_at=$((SECONDS + 30))
  pid="$(server_pid)" || return 0
  kill "$1" "$pid"
  while [ -n "$(server_pid)" ]; do
    if [ "$SECONDS" -ge "$give_up_at" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    sleep 0.1
  done
}

# --- Commands ---------------------------------------------------------------------------------------------------------

up() {
  find_temporal
  prepare_folder
  lock_folder
  existing_folder
  make_postgres
  start_postgres
  make_databases
  update_schema
  start_server
  make_namespace
  write_settings
  say "cluster up after $SECONDS s; settings for Curfew are in $folder/cluster.env"
}

down() {
  [ "${1:-}" = '' ] || [ "$1" = --delete ] || usage
  existing_folder
  lock_folder
  stop_server -TERM
  stop_postgres fast
  if [ "${1:-}" = --delete ]; then rm -rf "$folder"; fi
}

status() {
  existing_folder
  local pid all=0
  if pid="$(postgres_pid)"; then
    say "PostgreSQL: 127.0.0.1:$POSTGRES_PORT, process $pid, $(memory_of "$pid") MB with its children"
  else
    say 'PostgreSQL: not running'
    all=1
  fi
  if pid="$(server_pid)"; then
    say "Temporal server: 127.0.0.1:$FRONTEND_GRPC_PORT, process $pid, $(memory_of "$pid") MB; metrics at http://127.0.0.1:$METRICS_PORT/metrics"
  else
    say 'Temporal server: not running'
    all=1
  fi
  return "$all"
}

# Proportional set size: memory that processes share counts once.
memory_of() {
  local process
  for process in "$1" $(cat "/proc/$1/task/$1/children"); do
    cat "/proc/$process/smaps_rollup" 2>/dev/null || true
  done | awk '/^Pss:/ { sum += $2 } END { printf "%d", sum / 1024 }'
}

show_settings() {
  existing_folder
  sed 's/^/export /' "$folder/cluster.env"
}

command="${1:-}"
[ $# -ge 2 ] || usage
mkdir -p "$(dirname "$2")"
folder="$(cd "$(dirname "$2")" && pwd)/$(basename "$2")"
shift 2
find_postgres
find_account
case "$command" in
up) up ;;
down) down "$@" ;;
status) status ;;
env) show_settings ;;
kill-server)
  existing_folder
  stop_server -KILL
  ;;
start-server)
  find_temporal
  existing_folder
  lock_folder
  start_server
  ;;
restart-postgres)
  existing_folder
  lock_folder
  case "${1:-}" in
  '') stop_postgres fast ;;
  --kill) stop_postgres immediate ;;
  *) usage ;;
  esac
  start_postgres
  ;;
*) usage ;;
esac
