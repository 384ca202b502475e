#!/bin/sh
# Makes namespaces ready for Workers: setup.sh <namespace>... It may run any number of times.
# Needs the Temporal CLI and TEMPORAL_ADDRESS.
set -eu

# The server listens a moment before it answers.
tries=60
until temporal operator cluster health >/dev/null 2>&1; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || {
    echo "setup: Temporal at ${TEMPORAL_ADDRESS:-localhost:7233} does not answer." >&2
    exit 1
  }
  sleep 1
done

for namespace in "$@"; do
  export TEMPORAL_NAMESPACE="$namespace"
  # 30 days: what a generation has paid is also read from its earlier runs.
  temporal operator namespace describe -n "$namespace" >/dev/null 2>&1 ||
    temporal operator namespace create -n "$namespace" --retention 720h
  # Another type is not noticed here: `rivya-temporal doctor` says so.
  temporal operator search-attribute create \
    --name RivyaStatus --type Keyword \
    --name RivyaModel --type Keyword \
    --name RivyaTaskId --type Keyword \
    --name RivyaBatchId --type Keyword \
    --name RivyaCredits --type Double
  # The server notices a new namespace and new attributes within some seconds. Workers start after this.
  tries=60
  until temporal workflow count --query "RivyaStatus = '-' AND RivyaModel = '-' AND RivyaTaskId = '-' AND RivyaBatchId = '-' AND RivyaCredits = 0" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || {
      echo "setup: namespace $namespace cannot be used yet. Run it again." >&2
      exit 1
    }
    sleep 1
  done
  echo "setup: namespace $namespace is ready."
done
