#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml reads, in ./secrets; what is there already stays. The vendor's API key can't be
# made: it is asked for, or taken from GUMLOOP_API_KEY.
#
# The folder can be entered by its owner alone. The files in it are readable by all, because Docker mounts them one by one,
# as they are, into containers whose users have other numbers. So are those of ./deploy, which a checkout under a strict
# umask would keep from them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
chmod -R a+rX deploy
umask 022
mkdir -p secrets
chmod 700 secrets

keep() {
  [ ! -s "secrets/$1" ] || return 0
  printf '%s' "$2" >"secrets/$1"
  echo "made secrets/$1"
}
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in postgres temporal-database curfew-database grafana-admin; do
  keep "$name-password" "$(random)"
done
keep curfew-database-url "postgres://curfew:$(cat secrets/curfew-database-password)@postgres:5432/curfew"
if [ ! -s secrets/gumloop-api-key ]; then
  key="${GUMLOOP_API_KEY:-}"
  if [ -z "$key" ] && [ -t 0 ]; then read -rsp 'Gumloop API key: ' key && echo; fi
  if [ -z "$key" ]; then
    echo 'secrets/gumloop-api-key is missing: write the API key into it, or run this again with GUMLOOP_API_KEY set.' >&2
    exit 1
  fi
  keep gumloop-api-key "$key"
fi
