#!/bin/sh
# For the image of PostgreSQL, when it has made its data: roles and databases.
set -eu
psql --no-psqlrc --quiet --username postgres --dbname postgres --set secrets=/run/secrets --file /curfew/databases.sql
