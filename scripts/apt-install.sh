#!/usr/bin/env bash
# Installs Debian packages for a check that needs them: scripts/apt-install.sh <package>...
set -euo pipefail
# Root in a container has no sudo, and needs none.
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
# Five minutes each: a mirror that hangs must not hold up everything else.
timeout -k 30 300 "${as_root[@]}" apt-get update -qq || true # A stale list of packages may still do.
DEBIAN_FRONTEND=noninteractive timeout -k 30 300 "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@"
