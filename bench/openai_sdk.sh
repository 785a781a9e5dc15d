#!/usr/bin/env bash
# The official OpenAI SDK from PyPI against the real server. Exit 1 when a check fails, 0 with a
# word why when the SDK cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${CARGO_TARGET_DIR:-target}/bench/openai-venv
skip() {
  echo "skipped: $1"
  exit 0
}
command -v python3 >/dev/null || skip "there is no python3"
if ! "$environment/bin/python" -c 'import openai' 2>/dev/null; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  python3 -m venv "$environment" >"$log" 2>&1 || skip "python3 has no venv (Debian: python3-venv)"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --timeout 15 --retries 1 \
    'openai>=3,<4' >"$log" 2>&1 || skip "pip cannot get openai: $(tail -n 1 "$log")"
fi
# Not exec: the trap above has a file to remove.
"$environment/bin/python" bench/openai_sdk.py
