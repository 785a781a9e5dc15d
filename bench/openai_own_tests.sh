#!/usr/bin/env bash
# The OpenAI SDK's own tests of chat, completions, embeddings, models and responses, from its source
# package on PyPI, against the real server. Exit 1 when a test fails without a reason that
# openai_own_tests.py has, 0 with a word why when the package cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
version=3.57.0
folder=${CARGO_TARGET_DIR:-$PWD/target}/bench/openai-own-tests
skip() {
  echo "skipped: $1"
  exit 0
}
command -v python3 >/dev/null || skip "there is no python3"
if [ ! -e "$folder/openai-$version/tests/conftest.py" ]; then
  mkdir -p "$folder"
  log=$folder/log
  quiet=(--quiet --disable-pip-version-check --timeout 15 --retries 1)
  python3 -m venv "$folder/venv" >"$log" 2>&1 || skip "python3 has no venv (Debian: python3-venv)"
  "$folder/venv/bin/pip" install "${quiet[@]}" "openai[aiohttp]==$version" 'pytest>=9,<10' \
    'pytest-asyncio>=1.4,<2' rich inline-snapshot >"$log" 2>&1 ||
    skip "pip cannot get openai: $(tail -n 1 "$log")"
  "$folder/venv/bin/pip" download "${quiet[@]}" --no-deps --no-binary :all: -d "$folder" \
    "openai==$version" >"$log" 2>&1 || skip "pip cannot get its source: $(tail -n 1 "$log")"
  tar -xzf "$folder/openai-$version.tar.gz" -C "$folder"
fi
"$folder/venv/bin/python" bench/openai_own_tests.py "$folder/openai-$version"
