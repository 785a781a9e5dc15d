#!/usr/bin/env bash
# Small requests beside large bodies, on this machine. Needs nginx and wrk (Debian).
BENCH=beside exec bash "$(dirname "$0")/throughput.sh" "$@"
