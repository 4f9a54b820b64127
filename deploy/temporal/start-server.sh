#!/bin/sh
# Starts the Temporal server with its database password from a file. The server itself knows the password only as a
# variable; set here, and not in a compose file, it shows neither there nor in `docker inspect`.
set -eu
POSTGRES_PWD="$(cat "$POSTGRES_PWD_FILE")"
export POSTGRES_PWD
exec "$@"
