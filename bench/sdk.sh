#!/usr/bin/env bash
# A client from PyPI against the real server: bench/sdk.sh NAME VERSIONS [SCRIPT [ARGUMENT...]]. Exit
# 1 when a check fails, 0 with a word why when the client cannot be had. Other packages may follow the
# versions, after a space each.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1 versions=$2 script=${3:-bench/$1_sdk.py}
shift $(($# < 3 ? $# : 3))
environment=${CARGO_TARGET_DIR:-target}/bench/$name-venv
skip() {
  echo "skipped: $1"
  exit 0
}
command -v python3 >/dev/null || skip "there is no python3"
if ! "$environment/bin/python" -c "import ${name//-/.}" 2>/dev/null; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  python3 -m venv "$environment" >"$log" 2>&1 || skip "python3 has no venv (Debian: python3-venv)"
  read -ra packages <<<"$name$versions"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --timeout 15 --retries 1 \
    "${packages[@]}" >"$log" 2>&1 || skip "pip cannot get $name: $(tail -n 1 "$log")"
fi
# Not exec: the trap above has a file to remove.
"$environment/bin/python" "$script" "$@"
