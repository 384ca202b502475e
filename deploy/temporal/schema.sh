#!/bin/sh
# Creates both databases of Temporal in PostgreSQL, or brings them up to date. It may run any number of times.
# Needs temporal-sql-tool, SQL_HOST, SQL_PORT, SQL_USER, and the password in the file SQL_PASSWORD_FILE.
set -eu
SQL_PASSWORD=$(cat "$SQL_PASSWORD_FILE")
export SQL_PASSWORD SQL_PLUGIN=postgres12

for pair in temporal/temporal temporal_visibility/visibility; do
  export SQL_DATABASE="${pair%/*}"
  temporal-sql-tool create-database
  temporal-sql-tool setup-schema --version 0.0
  temporal-sql-tool update-schema --schema-name "postgresql/v12/${pair#*/}"
done
