#!/usr/bin/env bash
# The official Anthropic SDK from PyPI against the real server. Exit 1 when a check fails, 0 with a
# word why when the SDK cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${CARGO_TARGET_DIR:-target}/bench/anthropic-venv
skip() {
  echo "skipped: $1"
  exit 0
}
command -v python3 >/dev/null || skip "there is no python3"
if ! "$environment/bin/python" -c 'import anthropic' 2>/dev/null; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  python3 -m venv "$environment" >"$log" 2>&1 || skip "python3 has no venv (Debian: python3-venv)"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --timeout 15 --retries 1 \
    'anthropic>=2,<3' >"$log" 2>&1 || skip "pip cannot get anthropic: $(tail -n 1 "$log")"
fi
# Not exec: the trap above has a file to remove.
"$environment/bin/python" bench/anthropic_sdk.py
