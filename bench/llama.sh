#!/usr/bin/env bash
# llama.cpp's real server (PyPI: xllamacpp) behind tidegate: eval, release, promote, rollback.
# usage: bench/llama.sh [FOLDER]   with models/tiny-a.gguf, models/tiny-b.gguf and
# tools/llama_server.py in it (../shared where it is left out). Exit 0 with a word where it cannot run.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${CARGO_TARGET_DIR:-target}/bench/llama-venv
skip() {
  echo "skipped: $1"
  exit 0
}
shared=${1:-}
for folder in ../shared ../../shared; do
  [ -n "$shared" ] || [ ! -d "$folder" ] || shared=$folder
done
for file in models/tiny-a.gguf models/tiny-b.gguf tools/llama_server.py; do
  [ -n "$shared" ] && [ -f "$shared/$file" ] || skip "there is no ${shared:-../shared}/$file"
done
command -v python3 >/dev/null || skip "there is no python3"
if ! "$environment/bin/python" -c 'import xllamacpp' 2>/dev/null; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  python3 -m venv "$environment" >"$log" 2>&1 || skip "python3 has no venv (Debian: python3-venv)"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --timeout 15 --retries 1 \
    xllamacpp >"$log" 2>&1 || skip "pip cannot get xllamacpp: $(tail -n 1 "$log")"
fi
"$environment/bin/python" bench/llama.py "$environment/bin/python" "$shared"
