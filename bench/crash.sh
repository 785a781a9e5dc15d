#!/usr/bin/env bash
# kill -9 at random moments of a release under load, 200 times, on the release build; prints one
# summary line. The checks are those of crates/tidegate/tests/edge/crash.rs.
#   bench/crash.sh            200 kills
#   bench/crash.sh 1000 42    1,000 kills with another seed
set -euo pipefail
cd "$(dirname "$0")/.."

export TIDEGATE_CRASH_KILLS="${1:-200}"
if [ -n "${2:-}" ]; then export TIDEGATE_CRASH_SEED="$2"; fi

out=$(mktemp)
trap 'rm -f "$out"' EXIT
if cargo test --release --quiet --locked -p tidegate --test edge -- \
  --exact crash::nothing_acknowledged_is_lost_to_a_kill --nocapture >"$out" 2>&1; then
  grep '^crash: ' "$out"
else
  tail -n 40 "$out" >&2
  echo "crash: FAILED (seed ${TIDEGATE_CRASH_SEED:-default})" >&2
  exit 1
fi
