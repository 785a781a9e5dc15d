#!/usr/bin/env bash
# Throughput and added latency beside nginx and haproxy, on this machine. Needs nginx and wrk
# (Debian); haproxy is used where it is.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in nginx wrk; do
  command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing="${missing:-} $program"
done
if [ -n "${missing:-}" ] && [ "$(id -u)" = 0 ]; then
  apt-get install --yes --quiet $missing >/dev/null 2>&1 && missing=
fi
if [ -n "${missing:-}" ]; then
  echo "skipped: there is no$missing (Debian: apt-get install$missing)"
  exit 0
fi
exec python3 "bench/${BENCH:-throughput}.py" "$@"
