#!/usr/bin/env bash
# Requests over five kinds of model servers, a third cut at random, and their cost beside an
# independent computation: bench/providers.sh [--requests N] [--seed N].
exec python3 "$(dirname "$0")/providers.py" "$@"
