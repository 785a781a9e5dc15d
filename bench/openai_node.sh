#!/usr/bin/env bash
# The official OpenAI SDK for Node, unmodified, against the real server. Exit 1 when a check fails, 0
# with a word why when the SDK cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
export NODE_SDK=${CARGO_TARGET_DIR:-$PWD/target}/bench/openai-node
skip() {
  echo "skipped: $1"
  exit 0
}
command -v python3 >/dev/null || skip "there is no python3"
command -v node >/dev/null || skip "there is no node"
command -v npm >/dev/null || skip "there is no npm"
if [ ! -e "$NODE_SDK/node_modules/openai/package.json" ]; then
  mkdir -p "$NODE_SDK"
  echo '{"private": true}' >"$NODE_SDK/package.json"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  timeout 60 npm install --prefix "$NODE_SDK" --no-audit --no-fund --fetch-timeout=15000 \
    --fetch-retries=1 'openai@>=6 <7' >"$log" 2>&1 || skip "npm cannot get openai: $(tail -n 1 "$log")"
fi
# Not exec: the trap above has a file to remove.
python3 bench/openai_node.py
