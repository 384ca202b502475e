#!/bin/sh
# Makes namespaces ready for Workers: setup.sh <namespace>... It may run any number of times.
# Needs the Temporal CLI and TEMPORAL_ADDRESS.
set -eu

# until_done <what it means when it fails> <command...>: a server that has just started refuses some calls, and takes some
# seconds to notice a new namespace or attribute. What still fails after a minute is said.
until_done() {
  meaning=$1
  shift
  tries=60
  until said=$("$@" 2>&1); do
    tries=$((tries - 1))
    if [ "$tries" = 0 ]; then
      echo "setup: $meaning: $said" >&2
      exit 1
    fi
    sleep 1
  done
}

# 30 days: what a generation has paid is also read from its earlier runs. One that exists keeps its retention.
namespace_exists() {
  temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" ||
    temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention 720h
}

# Another type of an attribute is not noticed here: `rivya-temporal doctor` says so.
attributes_exist() {
  temporal operator search-attribute create \
    --name RivyaStatus --type Keyword \
    --name RivyaModel --type Keyword \
    --name RivyaTaskId --type Keyword \
    --name RivyaBatchId --type Keyword \
    --name RivyaCredits --type Double
}

attributes_are_usable() {
  temporal workflow count --query "RivyaStatus = '-' AND RivyaModel = '-' AND RivyaTaskId = '-' AND RivyaBatchId = '-' AND RivyaCredits = 0"
}

until_done "Temporal at ${TEMPORAL_ADDRESS:-localhost:7233} does not answer" temporal operator cluster health
for namespace in "$@"; do
  export TEMPORAL_NAMESPACE="$namespace"
  until_done "namespace $namespace was not created" namespace_exists
  until_done "search attributes of $namespace were not registered" attributes_exist
  until_done "namespace $namespace cannot be used yet" attributes_are_usable
  echo "setup: namespace $namespace is ready."
done
