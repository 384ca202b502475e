#!/usr/bin/env bash
# Tests the Temporal UI, and the report of a batch, in a real browser. RIVYA_SCREENSHOTS=1 also makes docs/ui-*.png anew: look at them before you commit.
set -euo pipefail
cd "$(dirname "$0")/.."

find_browser() {
  CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
}

if ! find_browser; then
  if [ "${CI:-}" != true ]; then
    echo 'Temporal UI and report: not tested, because neither "chromium" nor "google-chrome" is installed.'
    exit 0
  fi
  echo 'Temporal UI and report: installing chromium to test them.'
  # A browser without any font shows no text.
  scripts/apt-install.sh chromium fonts-dejavu-core
  find_browser || {
    echo 'Temporal UI and report: could not be tested, because chromium could not be installed.' >&2
    exit 1
  }
fi
export CHROMIUM
exec npx vitest run --config vitest.browser.config.ts "$@"
