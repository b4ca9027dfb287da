#!/bin/sh
# The roles of the databases and their passwords, by psql, as the server's superuser (PGHOST, PGUSER,
# PGPASSWORD), once `lakeloom upgrade --only-missing` has made the tables, and again after each upgrade.
# Each URL is what one kind of process has, postgresql+psycopg2://ROLE:PASSWORD@HOST/DATABASE; a database
# of which no URL is given is left alone:
#   RUNNER_CATALOG READER_CATALOG  DAGSTER_DATABASE WATCHER_DATABASE  MLFLOW_DATABASE
set -eu
access=$(dirname "$0")

sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }

roles() { # FILE URL: the roles of the database that the URL names
  place=${2%%\?*}
  sql --dbname "${place##*/}" --file "$access/$1.sql"
}

password() { # ROLE URL: the role's password becomes that of the URL
  login=${2#*://} login=${login%%/*} login=${login%@*}
  case $login in
    *%*) echo "the password of $1 has characters that URLs encode: use letters and digits" >&2; exit 2 ;;
    "$1":?*) ;;
    *) echo "the URL for $1 must begin postgresql+psycopg2://$1:PASSWORD@" >&2; exit 2 ;;
  esac
  ROLE=$1 PASSWORD=${login#*:} sql --dbname postgres <<'SQL'
\getenv role ROLE
\getenv password PASSWORD
ALTER ROLE :"role" PASSWORD :'password';
SQL
}

if [ -n "${RUNNER_CATALOG:-}" ]; then
  roles catalog "$RUNNER_CATALOG"
  password lakeloom_runner "$RUNNER_CATALOG"
  password lakeloom_reader "$READER_CATALOG"
fi
if [ -n "${DAGSTER_DATABASE:-}" ]; then
  roles dagster "$DAGSTER_DATABASE"
  password lakeloom_dagster "$DAGSTER_DATABASE"
  password lakeloom_watcher "$WATCHER_DATABASE"
fi
if [ -n "${MLFLOW_DATABASE:-}" ]; then
  roles mlflow "$MLFLOW_DATABASE"
  password lakeloom_mlflow "$MLFLOW_DATABASE"
fi
