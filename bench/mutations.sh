#!/usr/bin/env bash
# Breaks the engine's arithmetic, one line at a time, in a copy, and shows the test that notices.
#
#   bash bench/mutations.sh           # all
#   bash bench/mutations.sh effect    # those whose name contains "effect"
#
# Exit: 0 every mutation was caught, 1 one survived, 4 one no longer applies or does not build.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
only=${1:-}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# Kept between runs, so that a mutation costs one build of one crate.
export CARGO_TARGET_DIR=${MUTATIONS_TARGET:-${TMPDIR:-/tmp}/tidegate-mutations}
# Modified now, or cargo would take a mutation that was built before for the file's present state.
tar -C "$root" --exclude=./target --exclude=./.git -cf - . | tar -C "$copy" -xmf -
decide=crates/core/src/decide
caught=0 survived=0

run() { (cd "$copy" && ${CARGO:-cargo} test -q -p tidegate-core --lib decide:: 2>&1); }

# name | file | what stands there | what is put there instead
mutate() {
  local name=$1 file=$2 from=$3 to=$4 kept output failed
  case $name in *"$only"*) ;; *) return ;; esac
  kept=$(cat "$copy/$decide/$file"; printf x)
  if ! python3 - "$copy/$decide/$file" "$from" "$to" <<'PY'; then
import sys
path, old, new = sys.argv[1:]
text = open(path).read()
if text.count(old) != 1:
    sys.exit(f"error: `{old}` is {text.count(old)} times in {path}; once is needed\n"
             "hint: the line has changed; bring bench/mutations.sh up to date")
open(path, "w").write(text.replace(old, new))
PY
    exit 4
  fi
  if output=$(run); then
    printf 'SURVIVED  %s\n' "$name"
    survived=$((survived + 1))
  else
    failed=$(sed -n 's/^    \(decide::[a-z0-9_:]*\)$/\1/p' <<<"$output" | sort -u)
    if [ -z "$failed" ]; then
      printf 'error: `%s` does not build\n%s\n' "$name" "$output" >&2
      exit 4
    fi
    printf 'caught    %s, by %s:\n' "$name" "$(wc -l <<<"$failed")"
    head -4 <<<"$failed" | sed 's/^decide::/            /'
    caught=$((caught + 1))
  fi
  printf '%s' "${kept%x}" >"$copy/$decide/$file"
}

if ! output=$(run); then
  printf 'error: the tests fail without any mutation\n%s\n' "$output" >&2
  exit 4
fi
mutate "the mean of the bets becomes their sum" bets.rs \
  'top + (sum / BETS as f64).ln()' 'top + sum.ln()'
mutate "the stable arm is taken as known" bets.rs \
  '+ times(stable_x, stable_bad[bet])' '+ times(0.0, stable_bad[bet])'
mutate "stakes are not bounded" bets.rs \
  'if risk > STAKE_MAX {' 'if risk > f64::INFINITY {'
mutate "the short cut hides a proof" bets.rs \
  '* pair.candidate_n * harm).max(0.0)' '* 0.4 * pair.candidate_n * harm).max(0.0)'
mutate "a fault is forgotten at once" fault.rs \
  'state.fault_since = Some(now);' 'state.fault_since = None;'
mutate "what is found early counts in full" e_process.rs \
  'let part = stake + weight_of_start(start).ln();' 'let part = stake;'
mutate "all of alpha for every rule" plan.rs \
  'self.alpha / self.rules.len().max(1) as f64 / tests' 'self.alpha / tests'
mutate "no design effect on rates over a line" e_process.rs \
  'let stake = mean_stake(&growth, self.effect);' 'let stake = mean_stake(&growth, 1.0);'
mutate "no design effect on means" means.rs \
  '                * divisor;' '                * divisor.min(1.0);'
mutate "the design effect is 1" clusters.rs \
  'if independent > 0.0 { (clustered / independent).max(least) } else { least }' \
  'if independent > 0.0 { least } else { least }'
mutate "half of the design effect" clusters.rs \
  '(ratio - 1.0 - noise).max(0.0)' '(ratio - 1.0 - noise).max(0.0) * 0.5'
mutate "few users count in full" clusters.rs \
  'if units < FEWEST_UNITS {' 'if units < 0.0 {'
mutate "the mixture of means without its logarithm" means.rs \
  'std::f64::consts::LN_2 - 0.5 * widened.ln() + z' 'std::f64::consts::LN_2 + z'
mutate "every start has a quarter of the stake" starts.rs \
  '{ (1.0 - WHOLE) / (k * (k + 1.0)) }' '{ (1.0 - WHOLE) * k.powi(0) }'
mutate "the bucket that holds the point counts as beyond" e_process.rs \
  'candidate_x: above(first) - within * below' 'candidate_x: above(first)'
mutate "strata are added up" e_process.rs \
  'rates.push(pair(*anchor, stable, *candidate));' \
  'let mut all = pair(*anchor, stable, *candidate);
                    if let Some(last) = rates.pop() { let last: Pair = last;
                    all.stable_n += last.stable_n; all.stable_x += last.stable_x;
                    all.candidate_n += last.candidate_n; all.candidate_x += last.candidate_x;
                    all.share = all.candidate_n / (all.candidate_n + all.stable_n); }
                    rates.push(all);'
mutate "one value proves a quantile" interval.rs \
  'if n == 0.0 || !rejects(0.0) {' 'if n == 0.0 {'
mutate "a quantile's sides have alpha each" interval.rs \
  'let budget = (2.0 / alpha).ln();' 'let budget = (1.0 / alpha).ln();'
mutate "a merge forgets the tail" ../observe/window.rs \
  '        self.latency_us.merge(&other.latency_us);
' ''
printf '%d caught, %d survived\n' "$caught" "$survived"
[ "$survived" -eq 0 ]
