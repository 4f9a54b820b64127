#!/bin/sh
# Makes or updates the schemas of Temporal's two databases to the release of the SQL tool. To be run before a server of that
# release starts; harmless when they are up to date.
#
# SQL_HOST, SQL_PORT and SQL_USER are read by the tool itself; SQL_PASSWORD_FILE and SQL_TOOL by this script.
set -eu
SQL_PASSWORD="$(cat "$SQL_PASSWORD_FILE")"
export SQL_PASSWORD SQL_PLUGIN=postgres12

for database in temporal temporal_visibility; do
  schema="postgresql/v12/temporal"
  [ "$database" = temporal ] || schema="postgresql/v12/visibility"
  "${SQL_TOOL:-temporal-sql-tool}" --database "$database" setup-schema --version 0.0
  "${SQL_TOOL:-temporal-sql-tool}" --database "$database" update-schema --schema-name "$schema"
done
