#!/bin/sh
# MinIO's buckets, and for each kind of process a user with its policies, by mc, whose alias `lake` is
# the root's. Doing it twice changes nothing but the users' keys.
#   BUCKET LOGS_BUCKET MLFLOW_BUCKET
#   RUNNER_ID RUNNER_KEY  SENSOR_ID SENSOR_KEY  DAGSTER_ID DAGSTER_KEY  READER_ID READER_KEY
#   MLFLOW_ID MLFLOW_KEY
set -eu
access=$(dirname "$0") made=$(mktemp -d)

policy() { # NAME: its file, with the buckets filled in by this shell, which images have and envsubst not
  eval "cat <<END
$(cat "$access/s3/$1.json")
END" > "$made/$1.json"
  mc admin policy create lake "$1" "$made/$1.json"
}

user() { # ID KEY POLICY...: mc calls it an error that a user has a policy already
  id=$1
  mc admin user add lake "$id" "$2"
  shift 2
  for name; do
    said=$(mc admin policy attach lake "$name" --user "$id" 2>&1) || case $said in
      *"already in effect"*) ;;
      *) echo "$said" >&2; exit 1 ;;
    esac
  done
}

mc mb --ignore-existing "lake/$BUCKET" "lake/$LOGS_BUCKET" "lake/$MLFLOW_BUCKET"
for name in runner sensor reader logs mlflow; do policy "$name"; done
user "$RUNNER_ID" "$RUNNER_KEY" runner logs
user "$SENSOR_ID" "$SENSOR_KEY" sensor logs
user "$DAGSTER_ID" "$DAGSTER_KEY" logs
user "$READER_ID" "$READER_KEY" reader
user "$MLFLOW_ID" "$MLFLOW_KEY" mlflow
