#!/usr/bin/env bash
# What keys, tenants, bounds, budgets and guards cost, and what a tenant over its bounds does to the
# others, on this machine. Needs nginx and wrk (Debian).
BENCH=tenants exec bash "$(dirname "$0")/throughput.sh" "$@"
