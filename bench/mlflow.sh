#!/usr/bin/env bash
# A run sent to a real MLflow server, twice, and read back with MLflow's own client. Says `skipped`
# and why where the package cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
exe="${TIDEGATE:-target/release/tidegate}"
[ -x "$exe" ] || { echo "skipped: no $exe; build it, or name one: TIDEGATE=target/debug/tidegate"; exit 0; }
exe="$(realpath "$exe")"
work="$(mktemp -d)"
server=""
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'mlflow>=3,<4' >"$work/pip.log" 2>&1 \
    || { echo "skipped: the package mlflow cannot be installed: $(tail -1 "$work/pip.log")"; exit 0; }
exec "$work/venv/bin/python" bench/mlflow_server.py "$exe" "$work"
