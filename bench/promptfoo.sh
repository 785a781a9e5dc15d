#!/usr/bin/env bash
# Each check beside promptfoo's assertion of the same name, on the same answers. Needs Node.js and
# npm, and keeps promptfoo in a folder of its own: $PROMPTFOO, else one under the build's.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in node npm python3; do
  command -v "$program" >/dev/null || { echo "skipped: there is no $program"; exit 0; }
done
folder="${PROMPTFOO:-${CARGO_TARGET_DIR:-target}/promptfoo}"
if [ ! -d "$folder/node_modules/promptfoo" ]; then
  mkdir -p "$folder"
  if ! npm install --prefix "$folder" --omit=optional --no-audit --no-fund promptfoo@0.121.20 \
    >"$folder/npm.log" 2>&1; then
    echo "skipped: npm cannot install promptfoo ($folder/npm.log says why)"
    exit 0
  fi
fi
export PROMPTFOO_DISABLE_TELEMETRY=1 PROMPTFOO_DISABLE_UPDATE=1 PROMPTFOO_CONFIG_DIR="$folder"
exec python3 bench/promptfoo.py "$(cd "$folder" && pwd)"
