#!/usr/bin/env bash
# Answers that real model servers gave, replayed through the readers and translations of tidegate-wire:
# bench/recorded.sh. They are the test data of the crate genai, which cargo brings and which are not committed.
# Exit 1 when one is read wrongly, 0 with a word why where the crate cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.7.2
skip() {
  echo "skipped: $1"
  exit 0
}
home=${CARGO_HOME:-$HOME/.cargo}
data() {
  find "$home/registry/src" -maxdepth 2 -type d -name "genai-$version" 2>/dev/null | head -n 1
}
if [ -z "$(data)" ]; then
  # It unpacks the one crate, and none of those that it depends on.
  cargo info --quiet "genai@$version" >/dev/null 2>&1 ||
    skip "cargo cannot get the crate genai $version: is its registry reachable?"
fi
folder=$(data)/tests/data/yakbak
[ -d "$folder" ] || skip "the crate genai $version has no recordings at tests/data/yakbak"
answers=$(find "$folder" -type f | wc -l)
echo "$answers recorded files of genai $version"
TIDEGATE_RECORDED=$folder cargo test --quiet -p tidegate-wire --test recorded
