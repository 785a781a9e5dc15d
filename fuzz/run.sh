#!/usr/bin/env bash
# Looks for inputs that break what fuzz/src says must hold, with libFuzzer on the stable toolchain.
# What is found is kept below target/fuzz; once it is repaired it belongs into fuzz/corpus, which
# `cargo test` replays. Needs a C++ compiler.
#   fuzz/run.sh              60 seconds a target
#   fuzz/run.sh 600 text     ten minutes of one
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-60}"
targets="${2:-answers dialects document frames key redacted requests split streams text}"
host=$(rustc -vV | sed -n 's/^host: //p')
work="$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz"
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-trace-compares"
# With --target, build scripts are not instrumented.
RUSTFLAGS="$coverage" cargo build --quiet --release --target "$host" \
  --manifest-path fuzz/Cargo.toml --target-dir "$work/build"
failed=""
for target in $targets; do
  mkdir -p "$work/$target" "fuzz/corpus/$target"
  # What it says while it runs is of use only where it fails.
  if TIDEGATE_FUZZ_TARGET="$target" "$work/build/$host/release/tidegate-fuzz" \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$work/$target-" \
    "$work/$target" "fuzz/corpus/$target" crates/wire/tests/golden >"$work/$target.log" 2>&1; then
    echo "$target: $(grep -o 'Done .*' "$work/$target.log"), nothing found"
  else
    failed="$failed $target"
    grep -v '^#' "$work/$target.log" | tail -n 30
    echo "$target: an input breaks it, see above and $work/$target-*"
  fi
done
[ -z "$failed" ]
