#!/usr/bin/env bash
# schemathesis from PyPI against the real server and its own document: bench/openapi.sh
# [--examples N] [--seed N]. Exit 1 when a check fails, 0 with a word why when it cannot be had.
set -euo pipefail
exec bash "$(dirname "$0")/sdk.sh" schemathesis '>=4.32,<5' bench/openapi.py "$@"
