#!/usr/bin/env bash
# Checks docker-compose.yml for every profile, and the files of Prometheus that it mounts. Needs no container engine: it reads
# the files and starts nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

find_tool() {
  if docker compose version >/dev/null 2>&1; then
    tool=(docker compose)
  elif command -v docker-compose >/dev/null 2>&1; then
    tool=(docker-compose)
  else
    return 1
  fi
}

if ! find_tool; then
  if [ "${CI:-}" != true ]; then
    echo 'docker-compose.yml: not checked, because neither "docker compose" nor "docker-compose" is installed.'
    exit 0
  fi
  echo 'docker-compose.yml: installing docker-compose to check it.'
  scripts/apt-install.sh docker-compose
  find_tool || {
    echo 'docker-compose.yml: could not be checked, because docker-compose could not be installed.' >&2
    exit 1
  }
fi

# The key file is not there on a fresh clone. It is checked in a copy, so that no dummy key is left behind.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp docker-compose.yml "$copy/"
mkdir "$copy/secrets"
echo 'not-a-key' >"$copy/secrets/rivya_api_key"

for profiles in '' live monitoring live,monitoring; do
  # One minute: reading a file takes less than a second, and a tool that hangs says nothing.
  COMPOSE_PROFILES=$profiles timeout -k 30 60 "${tool[@]}" -f "$copy/docker-compose.yml" config -q
  echo "docker-compose.yml: profile ${profiles:-none} is well formed (${tool[*]})."
done

if ! promtool=$(command -v promtool); then
  if [ "${CI:-}" != true ]; then
    echo 'deploy/prometheus.yml: not checked, because promtool is not installed.'
    exit 0
  fi
  # The package is unpacked and not installed, because that would start Prometheus. It has 19 MB.
  (
    cd "$copy"
    timeout -k 30 300 apt-get download -qq prometheus
    dpkg -x prometheus_*.deb .
  )
  promtool=$copy/usr/bin/promtool
fi
# The alerts are checked with the file that names them.
timeout -k 30 60 "$promtool" check config deploy/prometheus.yml
