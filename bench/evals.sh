#!/usr/bin/env bash
# How fast evals are: wall time over the ideal and CPU a case, beside promptfoo on the same cases,
# and the memory of 100,000 cases. promptfoo comes from npm, once, below the build's folder; without
# it only tidegate is measured.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 0; }
folder="$PWD/${CARGO_TARGET_DIR:-target}/bench/promptfoo"
program="$folder/node_modules/.bin/promptfoo"
if [ ! -x "$program" ]; then
  if ! command -v npm >/dev/null; then
    echo "without promptfoo: there is no npm"
  else
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-audit --no-fund promptfoo@0.121.20 \
      >"$folder/npm.log" 2>&1 || echo "without promptfoo: $folder/npm.log says why"
  fi
fi
if [ -x "$program" ]; then
  export PROMPTFOO_PROGRAM="$program"
fi
exec python3 bench/evals.py "$@"
