#!/usr/bin/env bash
# 100 concurrent calls against a budget for 10, on the release build, with a kill -9 in between each
# time: never more than 10 are sent, and all that were sent are known afterwards. The checks are
# those of crates/tidegate/tests/edge/budgets.rs.
#   bench/budgets.sh          200 kills
#   bench/budgets.sh 20       20 kills
#   PROFILE= bench/budgets.sh 20    the same on the debug build
set -euo pipefail
cd "$(dirname "$0")/.."

export TIDEGATE_BUDGET_KILLS="${1:-200}"

# Without `PROFILE` at all it is the release build.
cargo test ${PROFILE---release} --quiet --locked -p tidegate --test edge -- \
  --exact budgets::a_budget_for_ten_sends_ten_whatever_is_killed --nocapture 2>&1 |
  awk '{ all = all $0 "\n" } /^budgets: / { said = $0 }
       END { if (said == "") { printf "%s", all; exit 1 } print said }'
