#!/usr/bin/env bash
# The engine beside every peer in every scenario: one report a scenario, so that what is done stays
# done when it is interrupted, then all of them as one table. Run it from anywhere.
#   REPS=2000 DATA=../shared/data bench/simulate.sh [FOLDER]
# LOOK_S: how often our engine looks; SCENARIOS: only these.
set -euo pipefail
cd "$(dirname "$0")/.."
reps=${REPS:-2000} look=${LOOK_S:-10} out=${1:-target/simulate}
simulate=${SIMULATE:-target/release/tidegate-simulate}
[ -x "$simulate" ] || cargo build --release --locked -p tidegate-simulate
mkdir -p "$out"

data=()
[ -z "${DATA:-}" ] || data=(--data "$DATA")
names() { "$simulate" --list ${data[@]+"${data[@]}"} | sed '/^$/,$d' | cut -d' ' -f1; }
for scenario in ${SCENARIOS:-$(names)}; do
  file="$out/$scenario.json"
  [ -s "$file" ] && continue
  printf '%s %s\n' "$(date +%H:%M:%S)" "$scenario" >&2
  "$simulate" "$scenario" --reps "$reps" --look-s "$look" --json ${data[@]+"${data[@]}"} \
    >"$file.part"
  mv "$file.part" "$file"
done
"$simulate" --join "$out"/*.json --markdown
