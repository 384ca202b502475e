#!/usr/bin/env bash
# Tests the Temporal UI in a real browser. RIVYA_SCREENSHOTS=1 also makes docs/ui-*.png anew: look at them before you commit.
set -euo pipefail
cd "$(dirname "$0")/.."

find_browser() {
  CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
}

if ! find_browser; then
  if [ "${CI:-}" != true ]; then
    echo 'Temporal UI: not tested, because neither "chromium" nor "google-chrome" is installed.'
    exit 0
  fi
  echo 'Temporal UI: installing chromium to test it.'
  # Root in a container has no sudo, and needs none.
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  # Five minutes each: a mirror that hangs must not hold up everything else. A browser without any font shows no text.
  timeout -k 30 300 "${as_root[@]}" apt-get update -qq || true # A stale list of packages may still do.
  DEBIAN_FRONTEND=noninteractive timeout -k 30 300 "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core
  find_browser || {
    echo 'Temporal UI: could not be tested, because chromium could not be installed.' >&2
    exit 1
  }
fi
export CHROMIUM
exec npx vitest run --config vitest.browser.config.ts "$@"
