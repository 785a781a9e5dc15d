#!/usr/bin/env bash
# Shadow against split on real answers: the requests that each needs to prove a candidate worse whose
# tasks fail in 5 points more of cases. Run it from anywhere.
#   DATA=../shared/data REPS=200 bench/shadow.sh
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-../shared/data} reps=${REPS:-200}
simulate=${SIMULATE:-target/release/tidegate-simulate}
[ -d "$data/answers" ] || { echo "skipped: there is no $data/answers" >&2; exit 0; }
[ -x "$simulate" ] || cargo build --release --locked -p tidegate-simulate
"$simulate" --shadow --data "$data" --reps "$reps" "$@"
