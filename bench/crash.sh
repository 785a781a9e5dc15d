#!/usr/bin/env bash
# kill -9 at random moments on the release build, 200 times each: of a release under load, of a
# server that audits, and of one that does not; prints a summary line of each. The checks are those
# of crates/tidegate/tests/edge/crash.rs and audit.rs.
#   bench/crash.sh            200 kills
#   bench/crash.sh 1000 42    1,000 kills, of the release with another seed
set -euo pipefail
cd "$(dirname "$0")/.."

export TIDEGATE_CRASH_KILLS="${1:-200}"
if [ -n "${2:-}" ]; then export TIDEGATE_CRASH_SEED="$2"; fi

out=$(mktemp)
trap 'rm -f "$out"' EXIT
run() {
  if cargo test --release --quiet --locked -p tidegate --test edge -- \
    --exact "$1" --nocapture >"$out" 2>&1; then
    grep "^$2: " "$out"
  else
    tail -n 40 "$out" >&2
    echo "$2: FAILED (seed ${TIDEGATE_CRASH_SEED:-default})" >&2
    exit 1
  fi
}
run crash::nothing_acknowledged_is_lost_to_a_kill crash
run audit::inv11_whoever_saw_a_byte_of_an_answer_is_admitted audit
run audit::what_kills_lose_is_counted counted
